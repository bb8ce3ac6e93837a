"""What belongs together is known by its group, its artist, or its sound."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from edge_runtime import TmgcError
from train.dataset.discover import Song
from train.dataset.split import connected_groups, read_groups, same_artist

Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, ...] = ("NFC", "NFD")


def songs_of(folder: Path, *names: str) -> list[Song]:
    return [Song(folder / name, name, name.partition("/")[0]) for name in names]


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("found", FORMS)
def test_groups_are_matched_in_any_unicode_form(tmp_path: Path, written: Form, found: Form) -> None:
    row, name = (unicodedata.normalize(form, "Şarkı/ağıt.mp3") for form in (written, found))
    (tmp_path / "groups.csv").write_text(f"path,group\n{row},ağıt\n", "utf-8")
    assert read_groups(tmp_path, songs_of(tmp_path, name, "Caz/1.mp3")) == {name: "ağıt"}


def test_without_the_file_there_are_no_groups(tmp_path: Path) -> None:
    assert read_groups(tmp_path, songs_of(tmp_path, "Caz/1.mp3")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,group\nCaz/2.mp3,a\n", r"there is no song Caz/2\.mp3 \(1 such rows\)"),
        ("path,group\nCaz/1.mp3,\n", r"Caz/1\.mp3 has none"),
        ("path,group\nCaz/1.mp3,a\nCaz/1.mp3,b\n", r"Caz/1\.mp3 has 'a' and 'b'"),
        ("file,group\nCaz/1.mp3,a\n", "must have the columns"),
        ("path,group\nCaz/1.mp3\n", r"Caz/1\.mp3 has none"),
        ("", "must have the columns"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "groups.csv").write_text(text, "utf-8")
    with pytest.raises(TmgcError, match=said):
        read_groups(tmp_path, songs_of(tmp_path, "Caz/1.mp3"))


@pytest.mark.parametrize("other", ["SEZEN AKSU", " sezen  aksu ", "Sezen Aksu feat. Onno Tunç", "Sezen Aksu (ft. X)"])
def test_spellings_of_an_artist_are_one(other: str) -> None:
    assert same_artist(other) == same_artist("Sezen Aksu")


@pytest.mark.parametrize("other", ["YILDIZ İBRAHİM", "yıldız ibrahim", "Yildiz Ibrahim"])
def test_dots_of_i_do_not_part_an_artist(other: str) -> None:
    assert same_artist(other) == same_artist("Yıldız İbrahim")


def test_different_artists_are_not_one() -> None:
    names = ["Sezen Aksu", "Sezen", "AC/DC", "Featherstone", "Şükrü", "Sukru"]
    assert len({same_artist(name) for name in names}) == len(names)


@pytest.mark.parametrize("nobody", ["", "Unknown Artist", "VARIOUS ARTISTS", "Bilinmeyen Sanatçı"])
def test_a_name_that_programs_fill_in_is_no_artist(nobody: str) -> None:
    assert same_artist(nobody) == ""


def test_songs_hang_together_through_others() -> None:
    assert connected_groups(6, [["a", "", "a", "b", "", "b"]], [(2, 3)]) == [[0, 2, 3, 5], [1], [4]]
    assert connected_groups(3, [["", "", ""]], []) == [[0], [1], [2]]


def test_keys_of_different_kinds_tie_but_are_not_mistaken_for_each_other() -> None:
    artists, groups = ["a", "b", "b", "", "c"], ["", "", "b", "b", "a"]
    assert connected_groups(5, [artists, groups], []) == [[0], [1, 2, 3], [4]]


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_no_file_is_refused_and_not_taken_for_none(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(TmgcError, match="must be a file"):
        read_groups(tmp_path, [])
