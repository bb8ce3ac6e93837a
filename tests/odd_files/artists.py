"""One artist in forty spellings and places of a tag, and other artists."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen
import soundfile
from mutagen import id3
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.asf import ASF
from mutagen.mp4 import MP4
from mutagen.wave import WAVE

from tests.odd_files.encoders import transcode
from tests.odd_files.trees import RATE, song

ARTIST = "Barış Manço"

_frames: Any = id3  # half of it is typed
TPE1, TPE2 = _frames.TPE1, _frames.TPE2
LATIN1, UTF16, UTF8 = _frames.Encoding.LATIN1, _frames.Encoding.UTF16, _frames.Encoding.UTF8

Tagger = Callable[[Path], Any]
"""Writes tags into a file."""


def _id3(*frames: Any, v2: int = 4, v1: int = 0) -> Tagger:
    def tag(path: Path) -> None:
        tags = _frames.ID3()
        for frame in frames:
            tags.add(frame)
        if v2 == 3:
            tags.update_to_v23()
        tags.save(path, v1=v1, v2_version=v2)

    return tag


def _artist(*names: str, encoding: int = UTF8, v2: int = 4) -> Tagger:
    return _id3(TPE1(encoding=encoding, text=list(names)), v2=v2)


def _as_latin1(name: str, encoding: str) -> Tagger:
    """Bytes of another encoding that are declared as Latin-1."""
    return _artist(name.encode(encoding).decode("latin-1"), encoding=LATIN1, v2=3)


def _id3v1(name: str, encoding: str) -> Tagger:
    def tag(path: Path) -> None:
        with path.open("ab") as file:
            file.write((b"TAG" + bytes(30) + name.encode(encoding)[:30].ljust(30, b"\0")).ljust(128, b"\0"))

    return tag


def _id3v22(name: str) -> Tagger:
    def tag(path: Path) -> None:
        text = b"\1" + name.encode("utf-16")
        frame = b"TP1" + len(text).to_bytes(3, "big") + text
        path.write_bytes(b"ID3\2\0\0" + bytes((0, 0, len(frame) >> 7, len(frame) & 127)) + frame + path.read_bytes())

    return tag


def _ape(key: str, name: str) -> Tagger:
    def tag(path: Path) -> None:
        tags = APEv2()
        tags[key] = name
        tags.save(path)

    return tag


def _comments(**fields: list[str]) -> Tagger:
    """Vorbis comments."""

    def tag(path: Path) -> None:
        file: Any = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        file.tags.update(fields)
        file.save()

    return tag


def _field(kind: Any, key: str, value: Any) -> Tagger:
    def tag(path: Path) -> None:
        file = kind(path)
        if file.tags is None:
            file.add_tags()
        file.tags[key] = value
        file.save()

    return tag


def _frame(kind: Any, frame: Any) -> Tagger:
    """An ID3 tag in a chunk of WAV or AIFF."""

    def tag(path: Path) -> None:
        file = kind(path)
        file.add_tags()
        file.tags.add(frame)
        file.save()

    return tag


def _info(path: Path) -> None:
    """The chunk LIST INFO of a WAV."""
    samples, rate = soundfile.read(path, dtype="float32")
    with soundfile.SoundFile(path, "w", rate, 1, format="WAV") as file:
        file.artist = ARTIST
        file.write(samples)


SPELLINGS: tuple[tuple[str, Tagger], ...] = (
    (".mp3", _artist(ARTIST)),
    (".mp3", _artist(ARTIST, encoding=UTF16, v2=3)),
    (".mp3", _artist(unicodedata.normalize("NFD", ARTIST))),
    (".mp3", _artist("BARIŞ MANÇO")),
    (".mp3", _artist("barış manço")),
    (".mp3", _artist("Baris Manco")),
    (".mp3", _artist("BARIS MANCO")),
    (".mp3", _artist("  Barış   Manço ")),
    (".mp3", _artist("Manço, Barış")),
    (".mp3", _as_latin1(ARTIST, "cp1254")),
    (".mp3", _as_latin1("BARIŞ MANÇO", "cp1254")),
    (".mp3", _as_latin1(ARTIST, "utf-8")),
    (".mp3", _artist(ARTIST.encode().decode("cp1252"))),
    (".mp3", _id3v1("Baris Manco", "ascii")),
    (".mp3", _id3v1(ARTIST, "cp1254")),
    (".mp3", _id3v22(ARTIST)),
    (".mp3", _ape("Artist", ARTIST)),
    (".mp3", _ape("Album Artist", ARTIST)),
    (".mp3", _artist("Barış Manço & Kurtalan Ekspres")),
    (".mp3", _artist("Barış Manço; Ajda Pekkan")),
    (".mp3", _artist("Barış Manço/Moğollar")),
    (".mp3", _artist("Barış Manço feat. Cem Karaca")),
    (".mp3", _artist("Cem Karaca ft. Barış Manço")),
    (".mp3", _artist("Erkin Koray (feat. Barış Manço)")),
    (".mp3", _artist("Barış Manço ve Kaygısızlar")),
    (".mp3", _artist("Barış Manço featuring Les Mistigris")),
    (".mp3", _artist("Barış Manço vs. Fikret Kızılok")),
    (".mp3", _artist("Kurtalan Ekspres", ARTIST)),
    (".mp3", _id3(TPE2(encoding=UTF8, text=[ARTIST]))),
    (".mp3", _id3(TPE1(encoding=UTF8, text=["Various Artists"]), TPE2(encoding=UTF8, text=[ARTIST]))),
    (".flac", _comments(ARTIST=[ARTIST])),
    (".flac", _comments(artist=["Kurtalan Ekspres", ARTIST])),
    (".flac", _comments(ALBUMARTIST=[ARTIST])),
    (".ogg", _comments(Artist=["BARIŞ MANÇO"])),
    (".opus", _comments(ARTIST=[ARTIST])),
    (".m4a", _field(MP4, "\xa9ART", [ARTIST])),
    (".m4a", _field(MP4, "aART", [ARTIST])),
    (".wma", _field(ASF, "Author", [ARTIST])),
    (".wv", _ape("Artist", ARTIST)),
    (".aiff", _frame(AIFF, TPE1(encoding=UTF8, text=[ARTIST]))),
    (".wav", _frame(WAVE, TPE1(encoding=UTF8, text=[ARTIST]))),
    (".wav", _info),
)
"""By suffix, how the artist is written into the file."""

OTHERS = (
    "Müslüm Gürses",
    "Neşet Ertaş",
    "Zeki Müren",
    "Barış Akarsu",
    "Manço Brothers",
    "Simge",
    "Emel Sayın",
    "Bülent Ersoy",
    "Âşık Veysel",
    "Édith Piaf",
    "Mor ve Ötesi",
    "DJ Tiësto",
    "Orhan Gencebay",
    "Ferdi Tayfur",
    "Sezen Aksu",
)
"""Each is an artist of their own."""

NOBODY = ("Various Artists", "Çeşitli Sanatçılar", "Unknown Artist", "Bilinmeyen Sanatçı")
"""What says of no two songs that they are by one artist."""

_ENCODERS = {
    ".mp3": ("-c:a", "libmp3lame", "-b:a", "32k", "-id3v2_version", "0", "-f", "mp3"),
    ".flac": ("-f", "flac"),
    ".ogg": ("-c:a", "libvorbis", "-f", "ogg"),
    ".opus": ("-c:a", "libopus", "-f", "ogg"),
    ".m4a": ("-c:a", "aac", "-f", "ipod"),
    ".wma": ("-c:a", "wmav2", "-f", "asf"),
    ".wv": ("-f", "wv"),
    ".aiff": ("-f", "aiff"),
    ".wav": ("-f", "wav"),
}


def write_tagged(path: Path, seed: int, tag: Tagger) -> None:
    """Write a song that no other seed has, with tags."""
    file = io.BytesIO()
    soundfile.write(file, song(seed), RATE, format="WAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    bare = ("-map_metadata", "-1", "-fflags", "+bitexact")
    path.write_bytes(transcode(file.getvalue(), *bare, *_ENCODERS[path.suffix]))
    tag(path)


def write_artists(folder: Path) -> None:
    """One artist in all spellings, others, and songs by nobody, in two genres."""
    by_one = [(suffix, tag, "one") for suffix, tag in SPELLINGS]
    by_others = [(".mp3", _artist(name), "other") for name in OTHERS for _ in range(2)]
    by_nobody = [(".mp3", _artist(name), "nobody") for name in NOBODY for _ in range(2)]
    for number, (suffix, tag, kind) in enumerate([*by_one, *by_others, *by_nobody]):
        genre = ("Caz", "Halk")[number // 2 % 2]
        write_tagged(folder / genre / f"{kind} {number:03d}{suffix}", number, tag)
