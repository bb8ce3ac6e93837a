"""What counts as a genre that a song has, and what of its tags must not get lost."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen.apev2 import APEv2
from mutagen.id3 import APIC, ID3, TCON, TIT2, TXXX, TYER
from mutagen.mp4 import MP4, MP4FreeForm

from edge_runtime.archive.id3_frames import Frame, Id3Tag, parse_id3
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


@pytest.mark.parametrize("padding", [0, 1, 300])
@pytest.mark.parametrize("name", ["song.flac", "song.ogg", "song.opus"])
def test_padding_comes_back_to_the_byte(music: Path, name: str, padding: int) -> None:
    """Also of Ogg, where 255 bytes take one more to be stored."""
    song, written, restored = music / name, music / f"written-{name}", music / f"restored-{name}"
    file = mutagen.File(song)
    file["genre"] = ["Fasıl" * 20]
    file.save(padding=lambda info: padding)
    tags = open_tags(song, "GENRE")
    stored = tags.stored
    for length in (1, 100, 520, 1500):
        tags.set(["x" * length])
        tags.save(written)
        again = open_tags(written, "GENRE")
        again.restore(stored)
        again.save(restored, size=song.stat().st_size)
        assert restored.read_bytes() == song.read_bytes(), length


ODD_FRAMES = [
    Frame(name, b"\0\0", data)
    for name, data in (
        (b"TIT2", b"\x03\xdeark\xfd"),  # said to be UTF-8
        (b"TPE1", b"\x01\xff\xfea\x00b"),
        (b"TCOM", b"\x07Composer"),
        (b"USLT", b"\0eng\0lyrics one"),
        (b"USLT", b"\0eng\0lyrics two"),
        (b"UFID", b"own\0id-one"),
        (b"UFID", b"own\0id-two"),
        (b"RVA2", b"x"),
        (b"TXXX", b"\0TMGC_OTHER\0kept"),
        (b"XYZW", b"unknown"),
        (b"TALB", b""),
    )
]


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("field", ["GENRE", "TMGC_GENRE"])
def test_frames_that_no_library_understands_stay_byte_for_byte(music: Path, version: int, field: str) -> None:
    song, copy = music / "bare.mp3", music / "copy.mp3"
    song.write_bytes(Id3Tag(version, 0, ODD_FRAMES).render(3000) + song.read_bytes())
    tags = open_tags(song, field)
    tags.set(["Pop"])
    tags.save(copy)
    assert copy.stat().st_size == song.stat().st_size
    assert parse_id3(copy.read_bytes()[:3000]).frames[:-1] == ODD_FRAMES
    written = open_tags(copy, field)
    assert written.values == ["Pop"]
    written.restore(None)
    written.save(song, size=copy.stat().st_size)
    assert parse_id3(song.read_bytes()[:3000]).frames == ODD_FRAMES


@pytest.mark.parametrize("genre", [b"\x03T\xfcrk\xfc", b"\x07Pop", b"\x01\xff\xfea\x00b"])
def test_a_genre_that_no_library_understands_is_one_and_comes_back(music: Path, genre: bytes) -> None:
    song, copy = music / "bare.mp3", music / "copy.mp3"
    frames = [ODD_FRAMES[0], Frame(b"TCON", b"\0\0", genre), *ODD_FRAMES[1:]]
    song.write_bytes(before := Id3Tag(4, 0, frames).render(3000) + song.read_bytes())
    tags = open_tags(song, "GENRE")
    assert tags.values
    stored = tags.stored
    tags.set(["Pop"])
    tags.save(copy)
    written = open_tags(copy, "GENRE")
    assert written.values == ["Pop"]
    written.restore(stored)
    written.save(song)
    assert song.read_bytes() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tag: tag[:5] + b"\x40" + tag[6:],  # an extended header
        lambda tag: tag[:-1] + b"x",  # something in the padding
        lambda tag: tag.replace(b"TIT2", b"TI\0\0"),
    ],
)
def test_an_id3_tag_with_more_than_frames_is_left_as_it_is(music: Path, spoil: Any) -> None:
    song = music / "bare.mp3"
    song.write_bytes(spoil(Id3Tag(4, 0, ODD_FRAMES).render(3000)) + song.read_bytes())
    with pytest.raises(TmgcError, match="it is left as it is"):
        open_tags(song, "GENRE")


COMMENTS = {
    "not UTF-8": b"TITLE=\xdeark\xfd",
    "a genre that is not UTF-8": b"GENRE=T\xfcrk\xfc",
    "without a name": b"no sign",
    "a name that is not ASCII": b"\xc7ALGI=saz",
    "an impossible name": b"BAD~KEY=kept",
}


@pytest.mark.parametrize("name", ["song.flac", "song.ogg", "song.opus"])
@pytest.mark.parametrize("comment", COMMENTS.values(), ids=COMMENTS)
def test_vorbis_comments_that_would_be_lost_leave_the_song_as_it_is(music: Path, name: str, comment: bytes) -> None:
    song = music / name
    file = mutagen.File(song)
    own = type(file.tags)

    class Raw(own):  # type: ignore[misc, valid-type]
        def write(self, framing: bool = name != "song.flac") -> bytes:
            comments = b"".join(struct.pack("<I", len(each)) + each for each in (comment, b"ARTIST=ok"))
            return struct.pack("<I", 3) + b"ref" + struct.pack("<I", 2) + comments + b"\1" * framing

    file.tags.__class__ = Raw
    file.save()
    assert comment in song.read_bytes()
    with pytest.raises(TmgcError, match="no Vorbis comment in UTF-8"):
        open_tags(song, "TMGC_GENRE")


def test_what_stands_behind_the_comments_of_opus_stays(music: Path) -> None:
    song = mutagen.File(music / "song.opus")
    song.tags._pad_data = b"\x01kept"
    song.save()
    assert b"\x01kept" in saved(music / "song.opus")


@pytest.mark.parametrize(
    ("atom", "reason"),
    [
        (struct.pack(">I4sI4sIIH", 26, b"gnre", 18, b"data", 0, 0, 18), "its genre is a number"),
        (struct.pack(">I4sI4sII4s", 28, b"\xa9gen", 20, b"data", 1, 0, b"T\xfcrk"), "not as those of iTunes"),
    ],
)
@pytest.mark.parametrize("name", ["song.m4a", "end.m4a"])
def test_genres_of_mp4_that_would_be_lost_leave_the_song_as_it_is(
    music: Path, name: str, atom: bytes, reason: str
) -> None:
    song = music / name
    file = MP4(song)
    file.tags._failed_atoms[atom[4:8].decode("latin-1")] = [atom[8:]]
    file.save()
    assert atom in song.read_bytes()
    with pytest.raises(TmgcError, match=reason):
        open_tags(song, "GENRE")


def test_atoms_of_mp4_are_compared_as_they_are_stored(music: Path) -> None:
    atom = struct.pack(">I4sI4sII4s", 28, b"\xa9nam", 20, b"data", 1, 0, b"T\xfcrk")
    file = MP4(music / "song.m4a")
    file["trkn"], file["disk"] = [(1, 2)], [(1, 1)]
    file.tags._failed_atoms["\xa9alb"] = [atom[8:]]
    file.save()
    others = open_tags(music / "song.m4a", "GENRE").others
    copy = music / "copy.m4a"
    copy.write_bytes(saved(music / "song.m4a"))
    assert open_tags(copy, "GENRE").others == others
    copy.write_bytes(copy.read_bytes().replace(b"T\xfcrk", b"T\xfdrk"))
    assert open_tags(copy, "GENRE").others != others
