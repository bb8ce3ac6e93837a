"""The parts of a page escape what they are given and hold what they show."""

from __future__ import annotations

from train.html import cards, figure, files, heading, image, page, paragraph, sound, table, warning

ODD = "<i>\"&'"
ESCAPED = "&lt;i&gt;&quot;&amp;&#x27;"


def test_every_text_is_escaped() -> None:
    parts = [heading(ODD), paragraph(ODD), warning(ODD), table((ODD,), [(ODD,)]), figure(b"", ODD), files([ODD])]
    for part in parts:
        assert ODD not in part
        assert ESCAPED in part
    assert page(ODD, []).count(ESCAPED) == 2, "title and heading"


def test_pictures_and_sound_stand_in_the_page_itself() -> None:
    assert 'src="data:image/png;base64,UE5H"' in image(b"PNG", "a picture")
    assert 'src="data:audio/mpeg;base64,TVAz"' in sound(b"MP3")


def test_cards_take_html() -> None:
    assert cards([paragraph("a"), paragraph("b")]).count('<div class="card"><p>') == 2


def test_a_warning_begins_with_a_capital() -> None:
    assert ">Of synthesised music<" in warning("of synthesised music")
