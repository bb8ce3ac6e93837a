"""Files are written atomically, hashed, and text is made storable."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.files import atomic_write, sha256_of, to_utf8


def test_a_file_takes_its_place_when_the_writing_has_gone_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "card.json"
    with atomic_write(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_writing_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as partial:
            partial.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180-4
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == expected


@pytest.mark.parametrize(
    ("text", "message"), [("şarkı", "şarkı"), ("caf\udce9", "caf?"), ("\udcc5\udc9fark\ud800", "şark?")]
)
def test_text_that_is_no_utf_8_is_written_with_question_marks(text: str, message: str) -> None:
    assert to_utf8(text) == message
