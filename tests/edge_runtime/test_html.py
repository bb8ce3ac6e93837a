"""Pages are rendered from templates that escape every value and embed what they show."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from edge_runtime.html import environment, render

ODD = "<i>\"&'"
ESCAPED = "&lt;i&gt;&#34;&amp;&#39;"


def from_string(source: str, **context: object) -> str:
    """Render a template that may call the macros."""
    macros = '{% from "macros.html" import warning, table, number, image, figure, audio %}'
    return environment("train").from_string(macros + source).render(**context)


def test_a_page_holds_its_own_style_and_escapes_its_title() -> None:
    page = render("train", "base.html", title=ODD)
    assert page.count(ESCAPED) == 2, "title and heading"
    assert ODD not in page
    assert "prefers-color-scheme: dark" in page
    assert page.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "call",
    ["warning(x)", "table([x], [[x]])", "number(x, x, x)", "figure(png, x)", "image(png, x)"],
)
def test_every_macro_escapes_its_text(call: str) -> None:
    page = from_string("{{ " + call + " }}", x=ODD, png=b"PNG")
    assert ODD not in page
    assert ESCAPED in page


def test_images_and_audio_are_embedded_in_the_page() -> None:
    assert 'src="data:image/png;base64,UE5H"' in from_string("{{ image(png, 'an image') }}", png=b"PNG")
    assert 'src="data:audio/mpeg;base64,TVAz"' in from_string("{{ audio(mp3) }}", mp3=b"MP3")


def test_a_table_has_a_row_for_each_row_and_headings_for_screen_readers() -> None:
    table = from_string("{{ table(['genre', 'clips'], [('Caz', 3), ('Halk', 4)], kind='text') }}")
    assert table.count("<tr>") == 3
    assert '<th scope="col">genre</th>' in table
    assert '<table class="text">' in table


def test_a_warning_begins_with_a_capital() -> None:
    assert ">Of synthesised music<" in from_string("{{ warning('of synthesised music') }}")


def test_a_variable_that_a_template_needs_cannot_be_forgotten() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("train", "base.html")
