"""Whether a file has lost its end is told for each size that it may be cut to."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime.decoding.file_end import frame_bytes, is_cut, mp3_seconds, sound_end, xing_bytes


def encoded(form: str, **options: str) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.random.default_rng(0).uniform(-0.5, 0.5, 30_000), 22_050, format=form, **options)
    return content.getvalue()


ID3 = b"ID3\3\0\0\0\0\1\0" + bytes(128)


def counted(path: Path, content: bytes) -> float:
    path.write_bytes(content)
    with path.open("rb") as file:
        return mp3_seconds(file.fileno(), len(content))


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("copies", [1, 200])
def test_the_frames_of_an_mp3_are_its_length(tmp_path: Path, mode: str, copies: int) -> None:
    """Also of more than is read at once, in which a frame lies on each limit."""
    content = encoded("MP3", bitrate_mode=mode)
    frames = content[frame_bytes(content[:4]) :]  # without the one that states the length
    path = tmp_path / "song.mp3"
    end = number = 0
    while size := frame_bytes(frames[end : end + 4]):
        end, number = end + size, number + 1
    sounds = copies * number * 576 / 22_050
    assert counted(path, copies * frames) == pytest.approx(sounds, abs=1e-6)
    junk = np.random.default_rng(1).bytes(5_000).replace(b"\xff", b"")
    for whole in (
        *(ID3 + copies * frames, copies * frames + b"TAG" + bytes(125), bytes(200_000) + copies * frames),
        *(frames + junk + (copies - 1) * frames, frames + ID3 + (copies - 1) * frames),
    ):
        assert counted(path, whole) == pytest.approx(sounds, abs=1e-6)
    assert counted(path, copies * frames[:-10]) < sounds, "the last one is cut"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("fffb9064", 1152 / 44_100),
        ("fff380c4", 576 / 22_050),
        ("ffe310c4", 576 / 11_025),
        ("fffd8004", 1152 / 44_100),
        ("ffff4004", 384 / 44_100),
    ],
)
def test_a_frame_of_each_kind_has_its_length(tmp_path: Path, header: str, seconds: float) -> None:
    begin = bytes.fromhex(header)
    frame = begin + bytes(frame_bytes(begin) - 4)
    assert counted(tmp_path / "a", 10 * frame) == pytest.approx(10 * seconds)


@pytest.mark.parametrize("content", [b"", b"\xff" * 3_000_000, bytes(3_000_000), b"\xff\xfb\x90\x64", b"RIFF"])
def test_what_has_no_frames_has_no_length(tmp_path: Path, content: bytes) -> None:
    assert counted(tmp_path / "a", content) == 0


def judged(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return is_cut(descriptor, len(content))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("fffb9064", 417),  # 128 kbit/s, 44.1 kHz, layer 3
        ("fffb9264", 418),  # the same, padded
        ("fff380c4", 208),  # 64 kbit/s, 22.05 kHz
        ("ffe310c4", 52),  # 8 kbit/s, 11.025 kHz
        ("fffd8004", 417),  # 128 kbit/s, layer 2
        ("ffff4004", 136),  # 128 kbit/s, layer 1
        ("fffbf064", 0),  # no such bit rate
        ("fffb9c64", 0),  # no such rate
        ("ffeb9064", 0),  # no such version
        ("fff15080017f", 11),  # ADTS
        ("fff95083ffff", 8191),  # ADTS of MPEG-2, the longest
        ("fff1508001", 0),  # its size is missing
        ("ffe15080017f", 0),  # no such layer
        ("52494646", 0),
        ("fffb", 0),
    ],
)
def test_a_header_states_the_size_of_its_frame(header: str, size: int) -> None:
    assert frame_bytes(bytes.fromhex(header)) == size


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_is_cut_wherever_a_frame_is_incomplete(tmp_path: Path, mode: str) -> None:
    content = encoded("MP3", bitrate_mode=mode)
    assert not judged(tmp_path / "a", content)
    end, boundaries = 0, set()
    while size := frame_bytes(content[end : end + 4]):
        end += size
        boundaries.add(end)
    for length in range(len(content) - 500, len(content)):
        assert judged(tmp_path / "a", content[:length]) != (length in boundaries)


def test_an_aac_file_is_cut_wherever_a_frame_is_incomplete(tmp_path: Path) -> None:
    frame = bytes.fromhex("fff150800c9ffc") + bytes(93)
    content = 20 * frame
    for length in range(len(content) - 250, len(content) + 1):
        assert judged(tmp_path / "a", content[:length]) == (length % 100 > 0), length


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_is_cut_anywhere_before_its_end(tmp_path: Path, subtype: str) -> None:
    content = io.BytesIO()
    soundfile.write(content, np.random.default_rng(0).uniform(-0.5, 0.5, 48_000), 48_000, format="OGG", subtype=subtype)
    whole = content.getvalue()
    assert not judged(tmp_path / "a", whole)
    for missing in (1, 10, 100, 1000, len(whole) // 2):
        assert judged(tmp_path / "a", whole[:-missing])


def test_a_tag_is_no_sound(tmp_path: Path) -> None:
    mp3, id3v1 = encoded("MP3"), b"TAG" + bytes(125)
    flags = bytes(7) + b"\x80"  # no item; there is a header, too
    footer = b"APETAGEX" + bytes(4) + (2032).to_bytes(4, "little") + flags + bytes(8)
    tags = b"APETAGEX" + bytes(24) + bytes(2000) + footer + id3v1
    path = tmp_path / "a"
    path.write_bytes(mp3 + tags)
    with path.open("rb") as file:
        assert sound_end(file.fileno(), path.stat().st_size) == len(mp3)
    assert not judged(path, mp3 + tags)
    assert judged(path, mp3[:-10] + tags)


@pytest.mark.parametrize("content", [b"", b"\xff" * 20_000, bytes(20_000), b"RIFF" + bytes(100)])
def test_what_is_none_of_these_is_not_cut(tmp_path: Path, content: bytes) -> None:
    assert not judged(tmp_path / "a", content)


def test_a_xing_header_states_the_length_of_the_file(tmp_path: Path) -> None:
    content = encoded("MP3", bitrate_mode="VARIABLE")
    for path, tag in ((tmp_path / "a", b""), (tmp_path / "b", ID3)):
        path.write_bytes(tag + content)
        with path.open("rb") as file:
            assert xing_bytes(file.fileno()) == pytest.approx(path.stat().st_size, abs=500)
