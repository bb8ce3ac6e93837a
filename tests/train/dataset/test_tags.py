"""Artists are read from the tags of every format, by content, in bounded time, and damaged tags stop nothing."""

from __future__ import annotations

import base64
import io
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.dataset.conftest import melody, write_sound
from train.dataset.tags import read_artists
from train.libraries import library

NAME = "Barış Manço"
ANOTHER = "Cem Karaca"

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")


def mutagen(module: str) -> Any:
    return library(f"mutagen.{module}", extra="train")


def id3v2(*frames: tuple[bytes, bytes], version: int = 3, flags: int = 0, padding: int = 0) -> bytes:
    """A tag of frames with the data as given."""
    parts = []
    for name, data in frames:
        size = synchsafe(len(data)) if version == 4 else len(data).to_bytes(3 if version == 2 else 4, "big")
        parts += [name, size, b"" if version == 2 else b"\0\0", data]
    body = b"".join(parts) + bytes(padding)
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(body)) + body


def synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3v1(artist: bytes) -> bytes:
    return b"TAG" + b"title".ljust(30, b"\0") + artist.ljust(30, b"\0") + bytes(65)


def apev2(**items: bytes) -> bytes:
    body = b"".join(struct.pack("<II", len(v), 0) + k.replace("_", " ").encode() + b"\0" + v for k, v in items.items())
    return body + b"APETAGEX" + struct.pack("<IIII", 2000, len(body) + 32, len(items), 0) + bytes(8)


@pytest.fixture(scope="module")
def mp3() -> bytes:
    """An mp3 without tags."""
    import soundfile

    encoded = io.BytesIO()
    soundfile.write(encoded, melody(1, seconds=1), 22_050, format="MP3")
    return encoded.getvalue()


def read(folder: Path, content: bytes, *, suffix: str = ".mp3") -> str:
    path = folder / f"a{suffix}"
    path.write_bytes(content)
    return read_artists(path)


TEXT = b"\x00" + NAME.encode("cp1254")

ID3 = {
    "2.2": id3v2((b"TP1", TEXT), version=2),
    "2.3 with cp1254 as Latin-1": id3v2((b"TPE1", TEXT)),
    "2.4 with UTF-8": id3v2((b"TPE1", b"\x03" + NAME.encode()), version=4),
    "2.3 with UTF-16": id3v2((b"TPE1", b"\x01" + NAME.encode("utf-16"))),
    "2.3 with UTF-16 without its mark": id3v2((b"TPE1", b"\x01" + NAME.encode("utf-16-le"))),
    "2.4 with big-endian UTF-16": id3v2((b"TPE1", b"\x02" + NAME.encode("utf-16-be")), version=4),
    "2.4 with UTF-16 in the wrong order": id3v2((b"TPE1", b"\x02" + NAME.encode("utf-16-le")), version=4),
    "2.3 with UTF-16 as Latin-1": id3v2((b"TPE1", b"\x00" + NAME.encode("utf-16-le"))),
    "2.3 with UTF-8 as Latin-1": id3v2((b"TPE1", b"\x00" + NAME.encode())),
    "2.3 with cp857 as Latin-1": id3v2((b"TPE1", b"\x00" + NAME.encode("cp857"))),
    "2.3 with blanks and NULs": id3v2((b"TPE1", b"\x03  " + NAME.encode() + b" \0\0\0")),
    "the album artist": id3v2((b"TPE2", TEXT)),
    "a field ALBUM ARTIST": id3v2((b"TXXX", b"\x00ALBUM ARTIST\0" + NAME.encode("cp1254"))),
    "unsynchronisation": id3v2((b"TPE1", b"\x01\xff\x00\xfe" + NAME.encode("utf-16-le")), flags=0x80),
    "an extended header": id3v2((b"TPE1", TEXT))[:5] + b"\x40" + synchsafe(32) + struct.pack(">IHI", 6, 0, 0)
    + id3v2((b"TPE1", TEXT))[10:],
    "plain sizes in 2.4": b"ID3\4\0\0" + synchsafe(351) + b"TIT2" + struct.pack(">IH", 301, 0) + b"\3" + b"title" * 60
    + b"TPE1" + struct.pack(">IH", len(TEXT), 0) + TEXT + bytes(20),
    "a compressed frame": id3v2((b"TIT2", b"\0a"))[:10][:6] + synchsafe(10 + 4 + len(zlib.compress(TEXT))) + b"TPE1"
    + struct.pack(">IH", 4 + len(zlib.compress(TEXT)), 0x0080) + struct.pack(">I", len(TEXT)) + zlib.compress(TEXT),
    "a large cover in front": id3v2((b"APIC", b"\0image/png\0\3\0" + bytes(3_000_000)), (b"TPE1", TEXT)),
    "padding": id3v2((b"TPE1", TEXT), padding=5000),
    "two tags": id3v2((b"TIT2", b"\0title")) + id3v2((b"TPE1", TEXT)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ID3)
def test_the_artist_of_every_id3v2_tag_is_read(tmp_path: Path, mp3: bytes, kind: str) -> None:
    assert read(tmp_path, ID3[kind] + mp3) == NAME


def test_several_artists_are_read_each_once(tmp_path: Path, mp3: bytes) -> None:
    both = f"{NAME}\0{ANOTHER}".encode()
    assert read(tmp_path, id3v2((b"TPE1", b"\x03" + both), version=4) + mp3) == f"{NAME}; {ANOTHER}"
    album = id3v2((b"TPE1", b"\x03" + NAME.encode()), (b"TPE2", b"\x03" + both), version=4)
    assert read(tmp_path, album + mp3) == f"{NAME}; {ANOTHER}"
    assert read(tmp_path, id3v2((b"TPE1", TEXT)) + mp3 + apev2(Artist=ANOTHER.encode())) == f"{NAME}; {ANOTHER}"


@pytest.mark.parametrize(
    "tag",
    [
        apev2(Artist=NAME.encode()),
        apev2(ARTIST=NAME.encode()),
        apev2(Album_Artist=NAME.encode()),
        apev2(Title=b"\xfd", Artist=NAME.encode("cp1254")),
        apev2(Artist=NAME.encode()) + id3v1(b"Baris Man"),
        id3v1(NAME.encode("cp1254")),
        id3v1(NAME.encode()),
        id3v1(NAME.encode("cp1254").ljust(30)),
        id3v1(NAME.encode("cp857")),
    ],
)
def test_the_artist_of_a_tag_at_the_end_is_read(tmp_path: Path, mp3: bytes, tag: bytes) -> None:
    assert read(tmp_path, mp3 + tag) == NAME


def test_a_name_that_id3v1_has_no_space_for_goes_on(tmp_path: Path, mp3: bytes) -> None:
    assert read(tmp_path, mp3 + id3v1("Kardeş Türküler ve Arto Tunçboyacıyan".encode("cp1254")[:30])) == (
        "Kardeş Türküler ve Arto Tunçbo…"
    )
    assert read(tmp_path, mp3 + id3v1("Kardeş Türküler ve Arto Tunç".encode()[:30])) == "Kardeş Türküler ve Arto Tun…"


@pytest.mark.parametrize("keys", [("ARTIST",), ("artist",), ("ALBUMARTIST",), ("ALBUM ARTIST",), ("album_artist",)])
def test_vorbis_comments_are_read(tmp_path: Path, keys: tuple[str, ...]) -> None:
    path = write_sound(tmp_path / "a.flac", melody(1, seconds=1))
    flac = mutagen("flac").FLAC(path)
    flac[keys[0]] = ["BarÄ±ÅŸ ManÃ§o", ANOTHER]
    flac.save()
    assert read_artists(path) == f"{NAME}; {ANOTHER}"
    assert read(tmp_path, id3v2((b"TIT2", b"\0title")) + path.read_bytes(), suffix=".mp3") == f"{NAME}; {ANOTHER}"


@pytest.mark.parametrize("first", ["comment", "picture"])
def test_a_flac_with_a_large_picture_has_its_artist(tmp_path: Path, first: str) -> None:
    path = write_sound(tmp_path / "a.flac", melody(1, seconds=1))
    flac = mutagen("flac").FLAC(path)
    picture = mutagen("flac").Picture()
    picture.data = np.random.default_rng(0).bytes(8_000_000 if first == "comment" else 2_000_000)
    flac["artist"] = NAME
    flac.add_picture(picture)
    if first == "picture":
        flac.metadata_blocks.sort(key=lambda block: block.code == 4)
    flac.save()
    assert read_artists(path) == NAME


def test_the_comments_of_a_damaged_ogg_are_read(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.ogg", melody(1), artist=NAME)
    content = path.read_bytes()
    other = write_sound(tmp_path / "b.ogg", melody(2), artist=ANOTHER).read_bytes()
    assert read(tmp_path, content + other, suffix=".ogg") == NAME, "the first of a chain"
    assert read(tmp_path, content[: len(content) // 2] + b"OggS damaged", suffix=".ogg") == NAME


def test_an_ogg_with_a_picture_has_its_artist(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.ogg", melody(1, seconds=1))
    ogg = mutagen("oggvorbis").OggVorbis(path)
    ogg["artist"] = NAME
    ogg["metadata_block_picture"] = base64.b64encode(bytes(1_500_000)).decode()
    ogg.save()
    assert read_artists(path) == NAME


def riff(*chunks: tuple[bytes, bytes], form: bytes = b"RIFF", order: str = "<") -> bytes:
    body = b"".join(name + struct.pack(f"{order}I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    kind = b"AIFF" if form == b"FORM" else b"WAVE"
    return form + struct.pack(f"{order}I", len(body) + 4) + kind + body


@pytest.mark.parametrize("encoding", ["utf-8", "cp1254", "cp857"])
def test_the_text_chunks_of_wav_and_aiff_are_read(tmp_path: Path, encoding: str) -> None:
    name = NAME.encode(encoding)
    info = (
        b"INFO" + b"INAM" + struct.pack("<I", 3) + b"abc\0" + b"IART" + struct.pack("<I", len(name) + 1) + name + b"\0"
    )
    data = (b"data", bytes(4001))
    assert read(tmp_path, riff((b"fmt ", bytes(16)), (b"LIST", info), data), suffix=".wav") == NAME
    assert read(tmp_path, riff((b"fmt ", bytes(16)), data, (b"LIST", info)), suffix=".wav") == NAME
    assert read(tmp_path, riff(data, (b"id3 ", id3v2((b"TPE1", b"\0" + name)))), suffix=".wav") == NAME
    assert read(tmp_path, riff((b"SSND", bytes(7)), (b"AUTH", name), form=b"FORM", order=">"), suffix=".aif") == NAME
    tagged = riff((b"SSND", bytes(7)), (b"ID3 ", id3v2((b"TPE1", b"\0" + name))), form=b"FORM", order=">")
    assert read(tmp_path, tagged, suffix=".aiff") == NAME


@needs_ffmpeg
@pytest.mark.parametrize(
    "name", ["a.mp3", "a.m4a", "a.wma", "a.opus", "a.ogg", "a.flac", "a.wv", "a.mka", "a.webm", "a.wav"]
)
def test_what_ffmpeg_writes_is_read_whatever_the_name(tmp_path: Path, name: str) -> None:
    sound = write_sound(tmp_path / "sound.wav", melody(1, seconds=1))
    tags = ["-metadata", f"artist={NAME}", "-metadata", f"album_artist={ANOTHER}"]
    rate = ["-ar", "48000"] if name.endswith((".opus", ".webm")) else []
    path = tmp_path / name
    subprocess.run(["ffmpeg", "-v", "error", "-i", sound, *tags, *rate, path], check=True)
    assert read_artists(path) in (f"{NAME}; {ANOTHER}", NAME), "WAV and WavPack have one field"
    for called in ("b.mp3", "b:c.m4a", "b.flac", "b.ogg"):
        assert read_artists(Path(shutil.copy(path, tmp_path / called))).startswith(NAME)


def test_an_empty_tag_does_not_hide_another(tmp_path: Path, mp3: bytes) -> None:
    assert read(tmp_path, id3v2((b"TPE1", b"\0 \0")) + mp3 + id3v1(NAME.encode("cp1254"))) == NAME
    assert read(tmp_path, id3v2((b"TPE1", b"\3Bar\xc4\xb1\xe2\x80\x8b\xc5\x9f\xc2\xa0 Man\xc3\xa7o")) + mp3) == NAME


def test_a_file_without_tags_has_no_artist(tmp_path: Path, mp3: bytes) -> None:
    assert read(tmp_path, mp3) == ""
    assert read(tmp_path, b"") == ""
    assert read(tmp_path, b"ID3") == ""
    for suffix in (".wav", ".flac", ".ogg", ".aiff"):
        assert read_artists(write_sound(tmp_path / f"a{suffix}", melody(1, seconds=1))) == ""


def test_control_characters_and_endless_names_are_not_kept(tmp_path: Path, mp3: bytes) -> None:
    name = read(tmp_path, id3v2((b"TPE1", b"\x00Cem\x1b[31m\nKaraca" + b"x" * 5000)) + mp3)
    assert name.isprintable()
    assert len(name) < 400
    many = "\0".join(f"artist {number}" for number in range(1000)).encode()
    assert read(tmp_path, id3v2((b"TPE1", b"\x03" + many), version=4) + mp3).count(";") < 20


def tiny_frames() -> bytes:
    return id3v2(*[(b"ABCD", b"")] * 400_000)


def bomb() -> bytes:
    packed = zlib.compress(bytes(100_000_000), 9)
    return b"ID3\3\0\0" + synchsafe(len(packed) + 14) + b"TPE1" + struct.pack(">IH", len(packed) + 4, 0x80) + packed


def comments() -> bytes:
    block = b"\0\0\0\0" + struct.pack("<I", 0xFFFFFFFF) + bytes(1_000_000)
    return b"fLaC" + b"\x04" + len(block).to_bytes(3, "big") + block


def chunks() -> bytes:
    return b"RIFF\xff\xff\xff\xffWAVE" + b"LIST\0\0\0\0" * 500_000


def atoms() -> bytes:
    return b"\0\0\0\x10ftypM4A mp42" + struct.pack(">I", 3_000_008) + b"moov" + b"\0\0\0\x08free" * 375_000


@pytest.mark.parametrize(
    "make",
    [
        tiny_frames,
        bomb,
        comments,
        chunks,
        atoms,
        lambda: b"ID3\4\0\0\0\0\0\0" * 100_000,
        lambda: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"APIC\x7f\x7f\x7f\x7f" * 1000,
        lambda: b"fLaC\x84\xff\xff\xff",
        lambda: bytes(1000) + b"APETAGEX" + struct.pack("<IIII", 2000, 0xFFFFFFF0, 0xFFFFFFFF, 0) + bytes(8),
    ],
)  # fmt: skip
def test_a_hostile_tag_takes_little_memory_and_comes_to_an_end(tmp_path: Path, make: Callable[[], bytes]) -> None:
    content = make()
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        assert read_artists(path) == ""
        assert tracemalloc.get_traced_memory()[1] < 150e6
    finally:
        tracemalloc.stop()


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".wma", ".opus", ".ogg", ".flac", ".wv", ".wav", ".aiff"])
def test_damaged_tags_of_every_format_stop_nothing(tmp_path: Path, suffix: str) -> None:
    sound = write_sound(tmp_path / "sound.wav", melody(1, seconds=1))
    path = tmp_path / f"a{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", sound, "-metadata", f"artist={NAME}", path], check=True)
    content, rng = path.read_bytes(), np.random.default_rng(7)
    for _ in range(30):
        damaged = np.frombuffer(content, np.uint8).copy()
        near = rng.integers(0, min(len(content), 2000), 20)
        damaged[np.where(rng.random(20) < 0.5, near, len(content) - 1 - near)] = rng.integers(0, 256, 20)
        assert read(tmp_path, damaged.tobytes()[: rng.integers(1, len(content) + 1)]).isprintable()
