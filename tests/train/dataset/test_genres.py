"""A genre's folder is read in whatever encoding its name has; names that cannot stand side by side are refused."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable

import pytest

from edge_runtime import TmgcError
from train.dataset.genres import check_genre_names, genre_name, quoted

TURKISH = ["Türkü", "Şarkı", "Özgün Müzik", "Çocuk", "Ağıt", "İlahi", "Arabesk", "Uzun hava – yanık", "ÖZGÜN", "Rüzgâr"]


@pytest.mark.parametrize("genre", TURKISH)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1254", "iso8859-9", "cp857"])
def test_a_name_is_read_in_the_encodings_of_turkish_systems(genre: str, encoding: str) -> None:
    genre = genre if encoding in ("utf-8", "cp1254") else genre.replace("–", "-")
    assert genre_name(os.fsdecode(genre.encode(encoding))) == genre


@pytest.mark.parametrize(
    ("folder", "genre"),
    [
        ("Pop ", "Pop"),
        (" Pop\u00a0Rock\u3000", "Pop Rock"),
        ("Pop\nRock", "Pop Rock"),
        ("Po\u200bp\ufeff", "Pop"),
        ("\x1b[31mPop\x07", "[31mPop"),
        ("\u202epoP", "poP"),
        (unicodedata.normalize("NFD", "Şarkı İ"), "Şarkı İ"),
        ("80'ler, R&B + Soul", "80'ler, R&B + Soul"),
        ("???", ""),
        ("\u00a0", ""),
        ("音楽", "音楽"),
    ],
)
def test_a_genre_is_what_can_be_seen_of_its_folders_name(folder: str, genre: str) -> None:
    assert genre_name(folder) == genre
    assert genre.isprintable()


@pytest.mark.parametrize(
    "names",
    [
        ("Klasik", "klasik", "KLASİK"),
        ("KLASIK", "Klasik"),
        ("Klasık", "KLASIK"),
        ("HALK", "Halk"),
        ("Pop", "Pop "),
        ("Pop", "Pop\u00a0"),
        ("Pop", "Pop."),
        ("Pop", "P\u200bop"),
        ("Özgün Müzik", "özgün  müzik"),
        ("Straße", "STRASSE"),
        ("Ｐop", "Pop"),
        (os.fsdecode("Şarkı".encode("cp1254")), "ŞARKI"),
        ("İlahi", "ILAHI", "ilahi", "Ilahi"),
    ],
)
def test_names_that_differ_in_case_or_spaces_only_are_refused_with_their_counts(names: tuple[str, ...]) -> None:
    with pytest.raises(TmgcError, match="Merge the folders of one genre, or rename them") as refusal:
        check_genre_names({"Caz": 9, **{name: count for count, name in enumerate(names, start=2)}})
    for count, name in enumerate(names, start=2):
        assert f"({count} songs)" in str(refusal.value)
        assert quoted(name) in str(refusal.value)
    assert "Caz" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_all_names_that_collide_are_listed_at_once() -> None:
    collisions = r"'POP' \(1 songs\), 'Pop' \(2 songs\); 'Rock' \(4 songs\), 'rock' \(3 songs\)"
    with pytest.raises(TmgcError, match=collisions):
        check_genre_names({"POP": 1, "Pop": 2, "rock": 3, "Rock": 4, "Caz": 5})


def test_other_forms_and_encodings_of_one_name_are_one_genre(notices: Callable[[], list[str]]) -> None:
    forms = [unicodedata.normalize(form, "Türkü") for form in ("NFC", "NFD")]
    check_genre_names(dict.fromkeys([*forms, os.fsdecode("Türkü".encode("cp857")), "Caz"], 1))
    assert notices() == [r"the folder 'T\x81rk\x81' is the genre Türkü"]


@pytest.mark.parametrize(
    "names", [("Hip-Hop", "HipHop"), ("Hip Hop", "hip_hop"), ("Özgün", "Ozgun"), ("Türkü", "TURKU")]
)
def test_names_that_look_alike_are_pointed_at(names: tuple[str, ...], notices: Callable[[], list[str]]) -> None:
    check_genre_names({**dict.fromkeys(names, 3), "Caz": 1})
    assert notices() == [f"{' and '.join(sorted(names))} look like one genre: if they are, merge their folders"]


@pytest.mark.parametrize("name", ["unknown", "Unknown", "SILENCE", "SİLENCE", "silence ", "Unavailable", "none"])
def test_names_that_answers_have_are_refused(name: str) -> None:
    with pytest.raises(TmgcError, match=r"a genre cannot be called .* Rename the folder"):
        check_genre_names({"Caz": 1, name: 2})


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "@SUM(A1)", " -Pop"])
def test_names_that_a_spreadsheet_computes_are_refused(name: str) -> None:
    with pytest.raises(TmgcError, match=r"cannot begin with = \+ - @"):
        check_genre_names({"Caz": 1, name: 2})


@pytest.mark.parametrize("name", ["!!!", "\u200b", os.fsdecode(b"\x81\xd5")])
def test_a_name_without_letters_or_of_no_known_encoding_is_refused_and_shown(name: str) -> None:
    with pytest.raises(TmgcError, match=r"needs a name with letters") as refusal:
        check_genre_names({"Caz": 1, name: 2})
    assert quoted(name) in str(refusal.value)
    assert str(refusal.value).isprintable()
