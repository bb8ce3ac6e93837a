"""Files are written atomically, hashed, and text is made storable."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.files import atomic_write, check_writable, remove_partial, sha256_of, to_utf8


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


def test_links_in_the_folder_of_a_file_are_not_written_through(tmp_path: Path) -> None:
    private, folder = tmp_path / "private", tmp_path / "run"
    private.write_text("mine")
    folder.mkdir()
    for name in ("report.html", ".part-report.html"):
        (folder / name).symlink_to(private)
    with atomic_write(folder / "report.html") as partial:
        assert not partial.is_symlink()
        partial.write_text("report")
    assert private.read_text() == "mine"
    assert (folder / "report.html").read_text() == "report"
    assert not (folder / "report.html").is_symlink()


def test_a_temporary_file_has_another_name_each_time_and_the_rights_of_any_new_file(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "card.json") as one, atomic_write(tmp_path / "card.json") as other:
        assert one != other
        assert one.suffix == other.suffix == ".json"
    (tmp_path / "usual").touch()
    assert (tmp_path / "card.json").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("name", ["a" * 250 + ".json", "ş" * 125 + ".json", ".hidden", "no_ending"])
def test_a_file_may_have_any_name_that_the_system_allows(tmp_path: Path, name: str) -> None:
    with atomic_write(tmp_path / name) as partial:
        partial.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_error_of_the_system_names_the_file_that_was_to_be_written() -> None:
    with pytest.raises(OSError, match=r"'/proc/card\.json'"), atomic_write(Path("/proc/card.json")):
        pass


def test_only_partial_files_are_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / ".part-mine").touch()
    folder = tmp_path / "run"
    (folder / ".part-decoded").mkdir(parents=True)
    (folder / ".part-decoded" / "song.wav").touch()
    (folder / ".part-card.0123.json").touch()
    (folder / ".part-link").symlink_to(kept)
    (folder / "card.json").touch()
    remove_partial(folder)
    remove_partial(tmp_path / "missing")
    assert [path.name for path in folder.iterdir()] == ["card.json"]
    assert (kept / ".part-mine").exists()


def test_a_folder_that_cannot_be_written_to_is_refused_in_one_line(tmp_path: Path) -> None:
    check_writable(tmp_path, tmp_path / "missing" / "deeper")
    assert not list(tmp_path.iterdir())
    with pytest.raises(
        TmgcError, match=r"results go to /proc/run: /proc cannot be written to \(.*\)\. Change its perm"
    ):
        check_writable(tmp_path, Path("/proc/run"))


@pytest.mark.parametrize(
    ("text", "message"), [("şarkı", "şarkı"), ("caf\udce9", "caf?"), ("\udcc5\udc9fark\ud800", "şark?")]
)
def test_text_that_is_no_utf_8_is_written_with_question_marks(text: str, message: str) -> None:
    assert to_utf8(text) == message
