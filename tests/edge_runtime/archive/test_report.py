"""The report shows what the rows hold, escaped, in one page."""

from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.archive.report import REPORT, write_report
from edge_runtime.archive.statistics import UNCERTAIN_SONGS, statistics_of
from tests.edge_runtime.archive.made import make_archive, row

MUSIC = "/srv/music"


def test_totals_and_genres_count_every_song(tmp_path: Path) -> None:
    rows = [row(f"{number}.mp3", MUSIC, "Arabesk", 0.92, agreement=0.75) for number in range(5)]
    rows += [row("u.mp3", MUSIC, "unknown", 0.4), row("s.mp3", MUSIC, "silence", 0.0), row("x.mp3", MUSIC, None)]
    found = statistics_of(make_archive(tmp_path, rows))
    assert (found.songs, found.failed, found.seconds) == (8, 1, 7 * 180)
    assert {name: total.songs for name, total in found.genres.items()} == {"Arabesk": 5, "unknown": 1, "silence": 1}
    assert found.confidence.tolist() == [0] * 8 + [1] + [0] * 9 + [5, 0], "silence and failures have no confidence"
    assert found.agreement[15] == 5


def test_the_songs_to_label_next_are_those_of_the_smallest_margin(tmp_path: Path) -> None:
    rows = [row(f"{number:03d}.mp3", MUSIC, "Halk", 0.99 - number / 1000) for number in range(UNCERTAIN_SONGS + 50)]
    rows += [row("s.mp3", MUSIC, "silence", 0.0), row("x.mp3", MUSIC, None)]
    found = statistics_of(make_archive(tmp_path, rows)).uncertain
    assert [song.path for song in found] == [f"{149 - number:03d}.mp3" for number in range(UNCERTAIN_SONGS)]
    assert found[0].genres[0][0] == "Halk"


def test_failures_with_the_same_reason_count_together(tmp_path: Path) -> None:
    damaged = row("w.mp3", MUSIC, "Pop", warning="is truncated: 12.50 s could be decoded")
    rows = [row(f"album {number}/{number}.mp3", MUSIC, None) for number in range(6)]
    found = statistics_of(make_archive(tmp_path, [*rows, damaged]))
    ((reason, failures),) = found.errors.items()
    assert reason == "an audio file must hold music: this song does not (it is empty)"
    assert (failures.songs, failures.examples) == (6, [f"album {number}/{number}.mp3" for number in range(3)])
    assert list(found.warnings) == ["is truncated: N s could be decoded"]


def test_names_are_escaped_and_the_page_needs_no_other_file(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>\u202e\x1b\n.mp3"
    rows = [row(name, MUSIC, "Pop", 0.5), row(f"not {name}", MUSIC, None), row("\udcfe.mp3", MUSIC, "Pop", 0.4)]
    page = write_report(make_archive(tmp_path, rows)).read_text("utf-8")
    assert "<script" not in page
    assert not re.search("[\x1b\u202e\udcfe]", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x1b\\n.mp3" in page
    assert not re.search(r"(src|href)=\"(?!file:///srv/music/)", page), "only the songs are linked"
    assert "file:///srv/music/%FE.mp3" in page


def test_a_song_of_another_machine_has_no_link(tmp_path: Path) -> None:
    page = write_report(make_archive(tmp_path, [row("song.mp3", "s3://bucket", "Pop", 0.5)])).read_text("utf-8")
    assert "song.mp3" in page
    assert "href" not in page


def test_an_archive_without_songs_has_a_report(tmp_path: Path) -> None:
    assert write_report(make_archive(tmp_path, [])) == tmp_path / REPORT
