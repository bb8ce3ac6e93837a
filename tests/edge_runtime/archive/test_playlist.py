"""A playlist names songs as players find them, each in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edge_runtime.archive.playlist import playlist
from edge_runtime.errors import TmgcError
from tests.edge_runtime.archive.made import make_archive, row

MUSIC = "/srv/music"


def test_songs_of_a_genre_stand_in_the_order_of_the_library(tmp_path: Path) -> None:
    rows = [row("b/Şarkı.mp3", MUSIC, "Halk", 0.7), row("c.mp3", MUSIC, "Pop"), row("d.mp3", MUSIC, "Halk", 0.9)]
    archive = make_archive(tmp_path, [*rows, row("x.mp3", MUSIC, None), row("e.mp3", MUSIC, "Halk", 0.8)])
    lines = list(playlist(archive, "Halk"))
    assert lines[:3] == ["#EXTM3U", "#EXTINF:180,Şarkı", "/srv/music/b/Şarkı.mp3"]
    assert lines[4::2] == ["/srv/music/d.mp3", "/srv/music/e.mp3"]
    assert len(list(playlist(archive, "Halk", min_confidence=0.75))) == 5
    assert list(playlist(archive, "Halk", limit=2))[2::2] == ["/srv/music/d.mp3", "/srv/music/e.mp3"]
    assert list(playlist(archive, "Arabesk")) == ["#EXTM3U"]


def test_paths_may_be_relative_to_a_folder(tmp_path: Path) -> None:
    rows = [row("a/b.mp3", MUSIC, "Halk"), row("#c.mp3", MUSIC, "Halk"), row("d.mp3", "s3://bucket/music", "Halk")]
    archive = make_archive(tmp_path, rows)
    assert list(playlist(archive, "Halk", relative_to=Path(MUSIC)))[2::2] == [
        "a/b.mp3",
        "./#c.mp3",  # or it would be a comment
        "s3://bucket/music/d.mp3",
    ]
    assert list(playlist(archive, "Halk", relative_to=Path("/srv/lists")))[2] == "../music/a/b.mp3"


def test_relative_paths_open_from_a_folder_by_each_of_its_names(tmp_path: Path) -> None:
    """As on a server whose shared folders are links to its disks."""
    disk, share = tmp_path / "mnt" / "disk1" / "music", tmp_path / "srv" / "music"
    for name in ("a/b.mp3", "c.mp3", "lists/all.m3u8"):
        (disk / name).parent.mkdir(parents=True, exist_ok=True)
        (disk / name).touch()
    share.parent.mkdir()
    share.symlink_to("../mnt/disk1/music")
    (tmp_path / "srv" / "lists").symlink_to(disk / "lists")
    archive = make_archive(tmp_path / "out", [row(name, disk, "Halk") for name in ("a/b.mp3", "c.mp3")])
    assert list(playlist(archive, "Halk", relative_to=share))[2::2] == ["a/b.mp3", "c.mp3"]
    for folder in (share, disk, share / "lists", disk / "lists", tmp_path / "srv" / "lists", tmp_path / "srv"):
        for line in list(playlist(archive, "Halk", relative_to=folder))[2::2]:
            assert (folder / line).is_file(), f"{line} from {folder}"


def test_folders_that_are_linked_in_a_circle_are_taken_as_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    archive = make_archive(tmp_path / "out", [row("a.mp3", tmp_path, "Halk")])
    assert list(playlist(archive, "Halk", relative_to=tmp_path / "circle"))[2] == "../a.mp3"


ORDINARY = ["no\u00a0break", "geniş\u3000boşluk", "می\u200cخواهم", "👩\u200d🎤", "Artist \uf022Album\uf022", "א\u200f"]
"""Parts of names, with blanks of several widths, joiners, and the private characters of macOS for those of Windows."""


@pytest.mark.parametrize("part", ORDINARY)
def test_a_name_of_any_script_is_a_line(part: str, tmp_path: Path) -> None:
    archive = make_archive(tmp_path, [row(f"{part}/{part}.mp3", MUSIC, "Halk")])
    assert list(playlist(archive, "Halk"))[1:] == [f"#EXTINF:180,{part}", f"{MUSIC}/{part}/{part}.mp3"]


def test_a_blank_at_the_beginning_stays(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, [row(" a.mp3", MUSIC, "Halk")])
    assert list(playlist(archive, "Halk", relative_to=Path(MUSIC)))[2] == "./ a.mp3"


def test_names_that_break_a_line_are_left_out_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["a\n/etc/passwd\n.mp3", "b\r.mp3", "c\x1b[31m.mp3", "d\udcfe.mp3", "e\u2028.mp3", "f.mp3 "]
    names += ["h\u2029.mp3", "i\x85.mp3", "j\x7f.mp3", "g.mp3"]
    archive = make_archive(tmp_path, [row(name, MUSIC, "Halk") for name in names])
    with caplog.at_level(logging.WARNING, "tmgc"):
        assert list(playlist(archive, "Halk"))[1:] == ["#EXTINF:180,g", "/srv/music/g.mp3"]
    (message,) = caplog.messages
    assert message.startswith("songs left out, since a line of a playlist cannot hold their paths")
    first = r"/srv/music/a\n/etc/passwd\n.mp3, /srv/music/b\r.mp3, /srv/music/c\x1b[31m.mp3"
    assert message.endswith(f": 9: {first}, ...")


def test_a_genre_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, [row("a.mp3", MUSIC)])
    with pytest.raises(TmgcError, match="--genre is one of Arabesk, Halk, Pop, unknown, silence, got 'halk'"):
        list(playlist(archive, "halk"))
