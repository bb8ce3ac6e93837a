"""An artist is one in all spellings of tags, each of several artists counts, and nobody else is tied."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from tests.train.dataset.conftest import melody, write_sound
from tests.train.dataset.test_tags import apev2, id3v1, id3v2, mutagen, riff
from train.dataset.artists import artist_keys
from train.dataset.split import connected_groups
from train.dataset.tags import read_artists


def tied(one: str, other: str, *collection: str) -> bool:
    """Whether two songs have an artist in common, in a collection with these artists."""
    first, second, *_ = artist_keys([one, other, *collection])
    return not set(first).isdisjoint(second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sezen Aksu", "SEZEN AKSU"),
        ("Sezen Aksu", " sezen  aksu "),
        ("Sezen Aksu", "Aksu, Sezen"),
        ("Sezen Aksu", "Sezen_Aksu"),
        ("Sezen Aksu", "Sezen Aksu (2)"),
        ("Müslüm Gürses", "MUSLUM GURSES"),
        ("Müslüm Gürses", "GÜRSES, MÜSLÜM"),
        ("Yıldız İbrahim", "YILDIZ İBRAHİM"),
        ("Yıldız İbrahim", "yıldız ibrahim"),
        ("Yıldız İbrahim", "Yildiz Ibrahim"),
        ("Kâzım Koyuncu", "Kazım Koyuncu"),
        ("Rəşid Behbudov", "Reşid Behbudov"),
        ("MFÖ", "M.F.Ö."),
        ("AC/DC", "ACDC"),
        ("AC/DC", "AC-DC"),
        ("The Beatles", "Beatles, The"),
        ("Guns N' Roses", "Guns N’ Roses"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        ("Mor ve Ötesi", "mor ve ötesi"),
        ("Weiß", "WEISS"),
    ],
)
def test_spellings_of_an_artist_are_one(one: str, other: str) -> None:
    assert tied(one, other)
    assert tied(unicodedata.normalize("NFD", one), other)


@pytest.mark.parametrize(
    "joined",
    [
        *("Tarkan & Sezen Aksu", "Tarkan&Sezen Aksu", "Tarkan; Sezen Aksu", "Tarkan / Sezen Aksu", "Tarkan/Sezen Aksu"),
        *("Tarkan, Sezen Aksu", "Tarkan, Sıla, Sezen Aksu", "Tarkan + Sezen Aksu", "Tarkan | Sezen Aksu"),
        *("Tarkan - Sezen Aksu", "Tarkan x Sezen Aksu", "Tarkan × Sezen Aksu", "Tarkan\\Sezen Aksu"),
        *("Tarkan feat. Sezen Aksu", "Tarkan feat.Sezen Aksu", "Tarkan FEAT SEZEN AKSU", "Tarkan Feat: Sezen Aksu"),
        *("Tarkan ft Sezen Aksu", "Tarkan (ft. Sezen Aksu)", "Tarkan [featuring Sezen Aksu]", "Tarkan w/ Sezen Aksu"),
        *("Tarkan vs. Sezen Aksu", "Tarkan ve Sezen Aksu", "TARKAN VE SEZEN AKSU", "Tarkan ile Sezen Aksu"),
        *("Tarkan and Sezen Aksu", "Tarkan with Sezen Aksu", "Tarkan (with Sezen Aksu)", "Tarkan û Sezen Aksu"),
        *("Sezen Aksu & Orkestrası", "Sezen Aksu - www.site.com", "Various Artists; Sezen Aksu", "Sezen Aks…"),
        *("Sezen Aksu - Topic", "Sezen Aksu Official", "Levent Yüksel-Sezen Aksu", "Tarkan -Sezen Aksu"),
        *("Tarkan & Sezen Ak…", "Sez?n Aksu", "Seze\ufffd Aksu", "Tarkan & Se?en Aksu", "Aksu, Sezen & Tarkan"),
    ],
)
def test_each_artist_of_a_tag_is_one(joined: str) -> None:
    assert tied("Sezen Aksu", joined)
    assert not tied("Zeki Müren", joined, "Sezen Aksu")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sezen Aksu", "Sezen"),
        ("Şükrü", "Şükran"),
        ("Grup Yorum", "Grup Kızılırmak"),
        ("Featherstone", "Feather"),
        ("Ertaş, Neşet", "Ertaş, Muharrem"),
        ("Simon & Garfunkel", "Earth, Wind & Fire"),
        ("Barış Manço & Orkestrası", "Zeki Müren ve Orkestrası"),
        ("Zeki Müren ve Saz Arkadaşları", "Âşık Veysel & Saz Arkadaşları"),
        ("Sezen Aksu & DJ", "Tarkan & DJ"),
        ("Bob & The", "Rob & The"),
        ("A & B", "A & C"),
        ("Sammy Davis, Jr.", "Harry Connick, Jr."),
        ("Tarkan - www.site.com", "Sıla - www.site.com"),
        ("Sezen Aksu - Topic", "Tarkan - Topic"),
        ("Anne-Sophie Mutter", "Anne"),
    ],
)
def test_different_artists_are_not_one(one: str, other: str) -> None:
    assert not tied(one, other)


@pytest.mark.parametrize(
    "nobody",
    [
        *("", " ", "-", "?", "...", "Unknown Artist", "<unknown>", "[unknown]", "VARIOUS ARTISTS", "Various", "VA"),
        *("V.A.", "V/A", "V. A.", "n/a", "none", "No Artist", "Bilinmeyen Sanatçı", "BİLİNMEYEN SANATÇI", "Bilinmeyen"),
        *("Çeşitli Sanatçılar", "ÇEŞİTLİ SANATÇILAR", "Çeşitli", "Muhtelif", "Karışık", "KARIŞIK", "Anonim", "ANONİM"),
        *("Trad.", "Traditional", "Geleneksel", "Track 01", "Track 7", "Parça 3", "01", "Artist", "Sanatçı", "OST"),
        *("www.mp3indir.com", "http://site.net/mp3", "Mp3Indir.com", "Various Artists; Anonim", "Anonim / Trad."),
    ],
)
def test_what_programs_fill_in_is_no_artist(nobody: str) -> None:
    assert artist_keys([nobody]) == [()]


def test_one_word_beside_a_comma_is_an_artist_where_it_is_one_elsewhere() -> None:
    assert tied("Tarkan, Sıla", "Tarkan")
    assert tied("Tarkan, Sıla", "Tarkan, Ajda", "Tarkan & Sertab")
    assert not tied("Tarkan, Sıla", "Tarkan, Ajda", "Sertab")


def test_the_first_artist_has_the_first_key() -> None:
    keys = artist_keys(["Tarkan feat. Sezen Aksu", "Ne?et Erta?; Tarkan", "Neşet Ertaş", "Aksu, Sezen"])
    assert [of_song[0] for of_song in keys] == ["tarkan", "ertas neset", "ertas neset", "aksu sezen"]


@pytest.mark.parametrize("lost", ["Bar?? Man?o", "Bar\ufffd\ufffd Man\ufffdo", "Bar???? Man??o", "Barış M…"])
def test_an_incomplete_name_is_every_complete_one_that_it_fits(lost: str) -> None:
    assert tied(lost, "Barış Manço")
    assert tied(lost, lost)
    assert not tied(lost, "Barbaros Erköse", "Barış Manço")


def test_what_was_cut_after_thirty_letters_is_the_whole_name() -> None:
    name = "Ankara Devlet Türk Halk Müziği Korosu"
    assert tied(name[:30], name)
    assert tied(f"{name[:30]}…", name)
    assert tied(f"{name[:27]}…", f"{name[:30]}…"), "in other encodings, more bytes are cut"
    assert not tied(name[:27], name)


def test_the_time_for_odd_names_is_bounded() -> None:
    odd = ["a?" * 140, "?" * 300, "a, " * 100, " feat. ".join("ab" * 40), "(" * 300, "A & " * 75, "…" * 300]
    names = [*odd, *("a" * number for number in range(250, 300)), *(f"x{number}?y?z?w" for number in range(100))]
    assert len(artist_keys(names)) == len(names)


SPELLINGS = [
    *("Barış Manço", "BARIŞ MANÇO", "barış manço", "Baris Manco", "BARIS MANCO", " Barış  Manço ", "Barış Manço\0"),
    *("Manço, Barış", "MANÇO, BARIŞ", "Barýþ Manço", "BARÝÞ MANÇO", "BarÄ±ÅŸ ManÃ§o", "BarÃ„Â±Ã…Å¸ ManÃƒÂ§o"),
    *("Bar&#305;&#351; Man&ccedil;o", "Barış Manço & Kurtalan Ekspres", "Barış Manço ve Kurtalan Ekspres"),
    *("Barış Manço; Cahit Oben", "Barış Manço/Kurtalan Ekspres", "Barış Manço feat. Kurtalan Ekspres"),
    *("Barış Manço (ft. Kurtalan Ekspres)", "Kurtalan Ekspres, Barış Manço", "Bar?? Man?o", "Bar\x8d\x9f Man\x87o"),
]

OTHERS = [
    *("Sezen Aksu", "Tarkan", "Neşet Ertaş", "Muharrem Ertaş", "Zeki Müren", "Müzeyyen Senar", "Cem Karaca"),
    *("Mor ve Ötesi", "Erkin Koray", "Selda Bağcan", "Ahmet Kaya", "İbrahim Tatlıses", "Müslüm Gürses"),
    *("Ferdi Tayfur", "Orhan Gencebay", "Âşık Veysel", "Âşık Mahzuni Şerif", "Arif Sağ", "Musa Eroğlu"),
    *("Sabahat Akkiraz", "Grup Yorum", "Grup Kızılırmak", "Duman", "Şebnem Ferah", "Teoman", "Athena", "MFÖ"),
    *("Yeni Türkü", "Ezginin Günlüğü", "Bulutsuzluk Özlemi", "Barış Akarsu", "Earth, Wind & Fire"),
    *("Simon & Garfunkel", "AC/DC", "Björk Guðmundsdóttir", "Rəşid Behbudov", "Aynur Doğan", "Ertaş, Hasan"),
    *("Kardeş Türküler", "Kurban", "Manço Band"),
]


def tagged(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of one artist in every kind of tag and many spellings, and files of other artists."""
    sound = write_sound(folder / "sound.mp3", melody(1, seconds=0.5)).read_bytes()
    one: list[bytes] = [id3v2((b"TPE1", b"\3" + name.encode())) + sound for name in SPELLINGS]
    for name in ("Barış Manço", "BARIŞ MANÇO"):
        cp1254, utf16 = name.encode("cp1254"), name.encode("utf-16-le")
        one += [id3v2((b"TPE1", b"\0" + raw)) + sound for raw in (cp1254, name.encode(), name.encode("cp857"), utf16)]
        one += [id3v2((b"TP1", b"\0" + cp1254), version=2) + sound, id3v2((b"TPE2", b"\0" + cp1254)) + sound]
        one += [id3v2((b"TPE1", b"\0Various Artists"), (b"TPE2", b"\0" + cp1254)) + sound]
        one += [sound + id3v1(raw) for raw in (cp1254, name.encode(), cp1254.ljust(30))]
        one += [sound + apev2(Artist=name.encode()), sound + apev2(Album_Artist=name.encode())]
        one += [riff((b"data", bytes(100)), (b"LIST", b"INFOIART\x0b\0\0\0" + cp1254 + b"\0"))]
    one += [sound + id3v1("Barış Manço ve Kurtalan Ekspres".encode("cp1254")[:30])]
    paths = [folder / f"one {number}.mp3" for number in range(len(one))]
    for path, content in zip(paths, one, strict=True):
        path.write_bytes(content)
    flac = write_sound(folder / "one.flac", melody(1, seconds=0.5))
    comments = mutagen("flac").FLAC(flac)
    comments["artist"] = ["Kurtalan Ekspres", "Barış Manço"]
    comments.save()
    others = [folder / f"other {number}.mp3" for number in range(len(OTHERS))]
    for path, name in zip(others, OTHERS, strict=True):
        path.write_bytes(id3v2((b"TPE1", b"\3" + name.encode())) + sound)
    return [*paths, flac], others


def test_one_artist_in_many_tags_is_one_group_and_forty_others_are_their_own(tmp_path: Path) -> None:
    one, others = tagged(tmp_path)
    assert len(one) >= 40
    assert len(others) >= 40
    order = np.random.default_rng(0).permutation(len(one) + len(others))
    paths = [[*one, *others][place] for place in order]
    keys = artist_keys([read_artists(path) for path in paths])
    groups = [{paths[song] for song in group} for group in connected_groups(len(paths), [keys], [])]
    assert set(one) in groups
    assert all({path} in groups for path in others)
