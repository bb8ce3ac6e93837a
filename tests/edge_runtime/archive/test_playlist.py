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


def test_names_that_break_a_line_are_left_out_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["a\n/etc/passwd\n.mp3", "b\r.mp3", "c\x1b[31m.mp3", "d\udcfe.mp3", "e\u2028.mp3", "f.mp3 ", "g.mp3"]
    archive = make_archive(tmp_path, [row(name, MUSIC, "Halk") for name in names])
    with caplog.at_level(logging.WARNING, "tmgc"):
        assert list(playlist(archive, "Halk"))[1:] == ["#EXTINF:180,g", "/srv/music/g.mp3"]
    assert caplog.messages == ["songs left out, whose names do not fit into a line of UTF-8: 6"]


def test_a_genre_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, [row("a.mp3", MUSIC)])
    with pytest.raises(TmgcError, match="--genre is one of Arabesk, Halk, Pop, unknown, silence, got 'halk'"):
        list(playlist(archive, "halk"))
