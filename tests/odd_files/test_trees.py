"""prepare and odd folders of songs: nothing is lost without a word, and no two genres are one."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.odd_files import artists, trees
from tests.train.cli.conftest import tmgc_train


@dataclass(frozen=True)
class Prepared:
    """What ``tmgc-train prepare`` has done."""

    code: int
    said: str
    clips: list[dict[str, str]]
    reasons: dict[str, str]
    """By path, why a file was skipped."""

    @property
    def genres(self) -> set[str]:
        """Of the dataset."""
        return {clip["genre"] for clip in self.clips}

    @property
    def songs(self) -> set[str]:
        """Used."""
        return {clip["song"] for clip in self.clips}


def prepare(folder: Path, *options: str) -> Prepared:
    """Run the command on a folder, in this process."""
    run = folder.parent / "run"
    usual = ("--offsets", "0,2", "--image-size", "32", "--sample-rate", trees.RATE, "--split-ratios", "50,25,25")
    done = tmgc_train("prepare", folder, run, *usual, *options)
    assert "Traceback" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.splitlines()), ascii(done.stderr)
    clips, skipped = (_rows(run / name) for name in ("dataset.csv", "skipped.csv"))
    return Prepared(done.exit_code, done.stderr, clips, {row["song"]: row["reason"] for row in skipped})


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_folders_of_the_system_are_no_genres_and_their_songs_are_not_used(tmp_path: Path) -> None:
    trees.with_system_folders(tmp_path / "songs")
    done = prepare(tmp_path / "songs")
    assert done.code == 0, done.said
    assert done.genres == {"Caz", "Halk"}
    assert len(done.songs) == 8
    assert len(done.songs | set(done.reasons)) == 8 + len(trees.SYSTEM_FOLDERS) + 2
    assert "Caz" in done.said
    assert "Halk" in done.said


@pytest.mark.parametrize("splits", trees.SPLITS, ids="/".join)
def test_a_data_set_that_is_split_is_recognised(splits: tuple[str, ...], tmp_path: Path) -> None:
    trees.split(tmp_path / "songs", splits)
    refused = prepare(tmp_path / "songs")
    assert refused.code == 2
    assert "--split-folders" in refused.said


@pytest.mark.full
@pytest.mark.parametrize("splits", [trees.SPLITS[0], trees.SPLITS[3]], ids="/".join)
def test_a_data_set_that_is_split_is_taken_as_it_is(splits: tuple[str, ...], tmp_path: Path) -> None:
    tree = trees.split(tmp_path / "songs", splits)
    done = prepare(tmp_path / "songs", "--split-folders")
    assert done.code == 0, done.said
    assert done.genres == {"Caz", "Halk"}
    assert len(done.songs) == tree.songs
    of_tests = {clip["song"].split("/")[0] for clip in done.clips if clip["split"] == "test"}
    assert of_tests == {splits[-1]}
    assert {clip["split"] for clip in done.clips if clip["song"].startswith(splits[-1])} == {"test"}


@pytest.mark.parametrize("twins", trees.TWINS, ids=ascii)
def test_genres_that_are_one_to_a_person_are_refused_and_named(twins: tuple[str, str], tmp_path: Path) -> None:
    trees.usual(tmp_path / "songs", "Caz", *twins)
    done = prepare(tmp_path / "songs")
    assert done.code == 2
    assert all(name.strip() in done.said for name in twins), done.said


@pytest.mark.parametrize("twins", trees.NEAR_TWINS, ids=ascii)
def test_near_twins_are_pointed_at(twins: tuple[str, str], tmp_path: Path) -> None:
    trees.usual(tmp_path / "songs", "Caz", *twins)
    done = prepare(tmp_path / "songs")
    assert any(all(name in line for name in twins) for line in done.said.splitlines()), done.said


def test_two_spellings_of_the_same_letters_are_one_genre(tmp_path: Path) -> None:
    tree = trees.decomposed(tmp_path / "songs")
    done = prepare(tmp_path / "songs")
    assert done.code == 0, done.said
    assert done.genres == {"Caz", "Türkü"}
    assert len(done.songs) == tree.songs


@pytest.mark.parametrize("name", trees.RESERVED)
def test_a_genre_called_like_an_answer_is_refused(name: str, tmp_path: Path) -> None:
    trees.usual(tmp_path / "songs", "Caz", "Halk", name)
    done = prepare(tmp_path / "songs")
    assert done.code == 2
    assert name.strip() in done.said


@pytest.mark.parametrize("encoding", ["cp857", pytest.param("cp1254", marks=pytest.mark.full)])
def test_genres_of_legacy_names_are_not_lost(encoding: str, tmp_path: Path) -> None:
    tree = trees.legacy(tmp_path / "songs", encoding)
    done = prepare(tmp_path / "songs")
    assert done.code == 0, done.said
    assert done.genres == set(trees.LEGACY)
    assert len(done.songs) == tree.songs


def test_folders_that_link_to_each_other_are_walked_once(tmp_path: Path) -> None:
    tree = trees.lattice(tmp_path / "songs")
    done = prepare(tmp_path / "songs")
    assert done.code == 0, done.said
    assert len(done.songs) == tree.songs
    assert len(done.reasons) < 1_000


@pytest.mark.full
def test_an_album_that_two_genres_share_is_used_once_and_told(tmp_path: Path) -> None:
    tree = trees.shared(tmp_path / "songs")
    done = prepare(tmp_path / "songs")
    assert done.code == 0, done.said
    assert len(done.songs) == tree.songs
    assert any("Album" in path for path in done.reasons)


@pytest.mark.full
def test_a_link_to_the_whole_system_ends_in_bounded_time(tmp_path: Path) -> None:
    trees.with_the_whole_system(tmp_path / "songs")
    command = [sys.executable, "-c", "from train.cli import main; main()", "prepare", str(tmp_path / "songs")]
    options = [str(tmp_path / "run"), "--offsets", "0", "--image-size", "32", "--sample-rate", str(trees.RATE)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "songs") in done.stderr or "root" in done.stderr


def test_genres_that_lie_one_folder_deeper_are_found_out(tmp_path: Path) -> None:
    trees.usual(tmp_path / "songs", "Arsiv/Caz", "Arsiv/Halk")
    done = prepare(tmp_path / "songs")
    assert done.code == 2
    assert "Arsiv" in done.said


def test_an_empty_genre_is_named(tmp_path: Path) -> None:
    tree = trees.usual(tmp_path / "songs")
    (tree.folder / "Fasıl").mkdir()
    (tree.folder / "Özgün").mkdir()
    (tree.folder / "Özgün" / "kapak.jpg").touch()
    done = prepare(tmp_path / "songs")
    assert done.code == 0, done.said
    assert "Fasıl" in done.said
    assert "Özgün" in done.said


@pytest.mark.full
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_artist_of_forty_spellings_is_in_one_split_and_others_stay_apart(tmp_path: Path) -> None:
    artists.write_artists(tmp_path / "songs")
    done = prepare(tmp_path / "songs")
    assert done.code == 0, done.said
    groups = {clip["song"]: clip["group"] for clip in done.clips}
    of_one = {song: group for song, group in groups.items() if "/one " in song}
    assert len(of_one) == len(artists.SPELLINGS), done.reasons
    usual = max(of_one.values(), key=list(of_one.values()).count)
    assert not sorted(song for song, group in of_one.items() if group != usual)
    assert {clip["split"] for clip in done.clips if "/one " in clip["song"]} == {"train"}
    assert len({group for song, group in groups.items() if "/other " in song}) == len(artists.OTHERS)
    assert len({group for song, group in groups.items() if "/nobody " in song}) == 2 * len(artists.NOBODY)
