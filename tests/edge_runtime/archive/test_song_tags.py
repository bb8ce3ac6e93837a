"""What counts as a genre that a song has, and what of its tags must not get lost."""

from __future__ import annotations

from pathlib import Path

import mutagen
import pytest
from mutagen.apev2 import APEv2
from mutagen.id3 import APIC, ID3, TCON, TIT2, TXXX, TYER
from mutagen.mp4 import MP4, MP4FreeForm

from edge_runtime.archive.song_tags import open_tags
from edge_runtime.errors import TmgcError


def saved(song: Path, **settings: int) -> bytes:
    """The song with Pop as its genre, and that it was there before."""
    tags = open_tags(song, "GENRE", **settings)
    tags.set(["Pop"])
    copy = song.with_name(f"copy{song.suffix}")
    tags.save(copy)
    assert open_tags(copy, "GENRE").values == ["Pop"]
    return copy.read_bytes()


def test_a_number_of_id3_is_a_genre(music: Path) -> None:
    frames = ID3()
    frames.add(TCON(encoding=0, text=["(17)", "4"]))
    frames.save(music / "bare.mp3")
    assert open_tags(music / "bare.mp3", "GENRE").values == ["Rock", "Disco"]


def test_empty_text_is_no_genre(music: Path) -> None:
    song = mutagen.File(music / "song.flac")
    song["genre"] = ["", " "]
    song.save()
    assert open_tags(music / "song.flac", "GENRE").values == []


@pytest.mark.parametrize("name", ["v24.mp3", "bare.mp3"])
def test_genres_of_id3v1_and_ape_are_seen(music: Path, name: str) -> None:
    ape = APEv2()
    ape["Genre"] = ["Fasıl", "Klasik"]
    ape.save(music / name)
    assert open_tags(music / name, "GENRE").elsewhere == ["Fasıl", "Klasik"]
    assert open_tags(music / name, "TMGC_GENRE").elsewhere == []
    with (music / name).open("ab") as file:
        file.write(b"TAG" + bytes(124) + b"\x11")
    found = open_tags(music / name, "GENRE")
    assert "Rock" in (*found.values, *found.elsewhere)


def test_what_stands_behind_the_tag_of_an_mp3_stays(music: Path) -> None:
    song = music / "v23.mp3"
    with song.open("ab") as file:
        file.write(b"behind" + b"TAG" + b"Title".ljust(124, b"\0") + b"\x11")
    sound = song.read_bytes()[ID3(song).size :]
    assert saved(song).endswith(sound)


def test_frames_of_id3v23_stay_as_they_are(music: Path) -> None:
    song = music / "v23.mp3"
    frames = ID3(song, translate=False)
    frames.add(TYER(encoding=0, text=["1985"]))
    frames.add(TIT2(encoding=1, text=["Bir", "İki"]))
    frames.add(APIC(encoding=0, mime="image/png", type=3, desc="", data=b"\x89PNG" * 1000))
    frames.unknown_frames = [b"XYZW\0\0\0\x02\0\0ab"]
    frames.save(song, v2_version=3, v23_sep=None)
    copy = song.with_name("copy.mp3")
    copy.write_bytes(saved(song))
    after = ID3(copy, translate=False)
    assert after.version == (2, 3, 0)
    assert after["TYER"].text == ["1985"]
    assert after["TIT2"].text == ["Bir", "İki"]
    assert after["APIC:"].data == b"\x89PNG" * 1000
    assert after.unknown_frames == frames.unknown_frames


def test_an_id3v22_tag_is_left_to_a_converter(music: Path) -> None:
    song = music / "bare.mp3"
    song.write_bytes(b"ID3\x02\x00\x00\x00\x00\x00\x0cTT2\x00\x00\x06\x00Title" + song.read_bytes())
    with pytest.raises(TmgcError, match=r"it has ID3v2\.2\. Convert them first"):
        open_tags(song, "GENRE")


def test_what_is_restored_is_what_was_stored(music: Path) -> None:
    mp3, m4a = music / "v24.mp3", music / "song.m4a"
    frames = ID3(mp3)
    frames.add(TXXX(encoding=1, desc="TMGC_GENRE", text=["Eski", "Yeni"]))
    frames.save(mp3)
    atoms = MP4(m4a)
    atoms["----:com.apple.iTunes:TMGC_GENRE"] = [MP4FreeForm(b"\xff\x00", 0), MP4FreeForm(b"Eski", 1)]
    atoms.save()
    for song in (mp3, m4a):
        tags = open_tags(song, "TMGC_GENRE")
        before = tags.stored
        tags.set(["Pop"])
        assert tags.values == ["Pop"]
        tags.restore(before)
        assert tags.stored == before
        tags.restore(None)
        assert tags.values == []


def test_room_for_tags_is_used_and_not_wasted(music: Path) -> None:
    for name in ("v24.mp3", "song.flac", "song.ogg", "song.opus", "song.m4a"):
        first = music / f"first-{name}"
        first.write_bytes(saved(music / name))
        grown = len(first.read_bytes()) - (music / name).stat().st_size
        assert grown < 2000
        assert len(saved(first)) == first.stat().st_size, "a second change takes no more room"
