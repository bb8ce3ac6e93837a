"""The hash of a song's sound does not change with its tags, and changes with anything else."""

from __future__ import annotations

import struct
from pathlib import Path

import mutagen
import pytest

from edge_runtime.archive.audio_part import audio_hash

KINDS = {
    "v24.mp3": "id3",
    "bare.mp3": "id3",
    "song.flac": "flac",
    "song.ogg": "ogg",
    "song.opus": "ogg",
    "song.m4a": "mp4",
    "end.m4a": "mp4",
    "bare.m4a": "mp4",
}


def hash_of(song: Path, kind: str) -> str | None:
    """None where it is refused: a page of Ogg has a checksum, and an atom of MP4 a length."""
    try:
        return audio_hash(song, kind)
    except ValueError:
        assert kind in ("ogg", "mp4")
        return None


@pytest.mark.parametrize("name", KINDS)
def test_only_tags_may_change(music: Path, name: str) -> None:
    song, kind = music / name, KINDS[name]
    before = audio_hash(song, kind)
    tagged = mutagen.File(song, easy=True)
    tagged["title"] = ["A long title" * 20_000]  # which moves the sound, and in Ogg takes more pages
    tagged.save()
    assert audio_hash(song, kind) == before
    content = song.read_bytes()
    for place in range(len(content) - 12_000, len(content), 997):
        song.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        if kind != "mp4" or content[:place].rfind(b"mdat") > content[:place].rfind(b"moov"):
            assert hash_of(song, kind) != before, place
    song.write_bytes(content[:-1])
    assert hash_of(song, kind) != before


@pytest.mark.parametrize("name", ["song.m4a", "end.m4a"])
def test_a_wrong_position_in_an_mp4_is_seen(music: Path, name: str) -> None:
    song = music / name
    before, content = audio_hash(song, "mp4"), bytearray(song.read_bytes())
    place = content.index(b"stco") + 12
    (position,) = struct.unpack_from(">I", content, place)
    struct.pack_into(">I", content, place, position + 1)
    song.write_bytes(content)
    assert audio_hash(song, "mp4") != before


@pytest.mark.parametrize("name", KINDS)
def test_files_that_are_cut_anywhere_have_a_hash_or_are_refused(music: Path, name: str) -> None:
    content = (music / name).read_bytes()
    cut = music / "cut"
    for length in (*range(0, 400, 7), len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        try:
            audio_hash(cut, KINDS[name])
        except (ValueError, IndexError, struct.error):
            continue
