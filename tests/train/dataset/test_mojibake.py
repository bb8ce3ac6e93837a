"""Text that was decoded with the wrong encoding is repaired, and names of many languages are left alone."""

from __future__ import annotations

import unicodedata

import pytest

from train.dataset.mojibake import decoded, repaired

NAMES = [
    *("Barış Manço", "BARIŞ MANÇO", "İbrahim Tatlıses", "İBRAHİM TATLISES", "Müslüm Gürses", "Neşet Ertaş"),
    *("Özdemir Erdoğan", "Ağır Roman", "Yağmur Sarıgül", "Âşık Veysel", "Kırmızı", "Hakkı Bulut", "Cengiz Kurtoğlu"),
    *("Arif Sağ", "Belkıs Akkale", "İsmail Hakkı Demircioğlu", "Kâzım Koyuncu"),
    *("Işın Karaca", "Kıraç", "Fatih Kısaparmak", "Onur Akın", "Aynur Doğan"),
]

ENCODINGS = [
    *(("utf-8", "latin-1"), ("utf-8", "cp1252"), ("utf-8", "cp1254"), ("utf-8", "cp857"), ("utf-8", "cp437")),
    *(("cp1254", "latin-1"), ("cp1254", "cp1252"), ("iso8859-9", "latin-1"), ("cp857", "latin-1")),
    *(("utf-16-le", "latin-1"), ("utf-16-be", "latin-1"), ("utf-16", "latin-1")),
]


def decoded_wrongly(text: str, written: str, read: str) -> str:
    """Decode as players do: bytes that an encoding does not define become control characters."""
    raw = [bytes([byte]) for byte in text.encode(written)]
    return "".join(byte.decode(read) if byte.decode(read, "ignore") else byte.decode("latin-1") for byte in raw)


@pytest.mark.parametrize(("written", "read"), ENCODINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_wrongly_decoded_name_is_repaired(name: str, written: str, read: str) -> None:
    try:
        wrong = decoded_wrongly(name, written, read)
    except UnicodeEncodeError:
        pytest.skip(f"{written} has no {name}")
    assert repaired(wrong) == name


@pytest.mark.parametrize("read", ["latin-1", "cp1252", "cp1254", "cp857"])
@pytest.mark.parametrize("name", [name for name in NAMES if not name.isascii()])
def test_a_name_that_was_decoded_wrongly_three_times_is_repaired(name: str, read: str) -> None:
    wrong = name
    for _ in range(3):
        wrong = decoded_wrongly(wrong, "utf-8", read)
    assert repaired(wrong) == name


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Bar&#305;&#x15F; Man&ccedil;o", "Barış Manço"),
        ("Simon &amp; Garfunkel", "Simon & Garfunkel"),
        ("Guns N\x92 Roses", "Guns N’ Roses"),
        ("Sezen \x93Minik Serçe\x94 Aksu", "Sezen “Minik Serçe” Aksu"),
        ("Ýbrahim Tatlýses & Céline Dion", "İbrahim Tatlıses & Céline Dion"),
        ("Erdo§an", "Erdoğan"),
        ("NeŸet ErtaŸ", "Neşet Ertaş"),
        ("Þehrîbana Kurdî", "Şehrîbana Kurdî"),
        ("䈀愀爀", "Bar"),
        ("Neşet", "Neşet"),
    ],
)
def test_usual_damage_is_repaired(wrong: str, right: str) -> None:
    assert repaired(wrong) == right


LANGUAGES = {
    "French": "Édith Piaf|Françoise Hardy|Mylène Farmer|Noël|Louÿs|Zoé|L’Œuvre|Béranger «vif»",
    "Spanish": "Joaquín Sabina|Íñigo|Peñarroya|Los Ángeles Azules|Café Tacvba|Nº 1",
    "German": "Die Ärzte|Blümchen|Grönemeyer|Müller-Westernhagen|Übermensch|Weißmann|Böhse Onkelz",
    "Azeri": "Rəşid Behbudov|Əlibaba Məmmədov|Röya|Şövkət Ələkbərova|Aygün Kazımova",
    "Kurdish": "Şivan Perwer|Ciwan Haco|Rojîn|Nîzamettîn Arîç|Xêro Abbas|Karapetê Xaço|Şakiro",
    "Turkish": "İbrahim Tatlıses|Ağır Roman|Işın Karaca|Âşık Veysel|Üç Hürel|Ümit Besen|ÇELİK|Kâzım Koyuncu|ŞÜKRÜ",
    "Icelandic": "Björk Guðmundsdóttir|Ásgeir Þórr|Hildur Guðnadóttir|Sigurðsson|Auður|Sigur Rós",
    "Czech": "Jiří Suchý|Nový|Veselý|Karel Plíhal|Dvořák",
    "Turkmen": "Aýgül|Maýa|Öwezgeldiýew",
    "Portuguese": "São Paulo|JOÃO|MAÇÃ|Ângela",
    "others": "Motörhead|Queensrÿche|Øystein|Ænima|Ålesund|Łona|Đorđe|Кино|أم كلثوم|Σωκράτης|久石譲|Mỹ Linh|Ke$ha",
}


@pytest.mark.parametrize(
    ("language", "name"), [(k, name) for k, names in LANGUAGES.items() for name in names.split("|")]
)
def test_a_correct_name_is_not_changed(language: str, name: str) -> None:
    assert repaired(name) == name, language
    assert repaired(unicodedata.normalize("NFD", name)) == name


def test_bytes_of_no_declared_encoding_are_decoded() -> None:
    assert decoded("Barış".encode()) == "Barış"
    assert decoded("Barış".encode()[:-1]) == "Barı", "a letter that is cut is left out"
    assert decoded("Barış".encode("utf-16")) == "Barış"
    assert decoded(b"\xef\xbb\xbfAjda") == "Ajda"
    assert repaired(decoded("Barış Manço".encode("cp1254"))) == "Barış Manço"


@pytest.mark.parametrize(
    "text", ["", "\0", "\ud800", "\udcfe\0\0\0", "ÿþ", "&#99999999;", "&#0;", "\x80" * 300, "Ã" * 300]
)
def test_no_text_is_too_odd(text: str) -> None:
    assert isinstance(repaired(text), str)
