"""A folder is walked to its end: every folder once, whatever links to it, and none of the system."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import TmgcError
from edge_runtime.walk import walk
from tests.train.dataset.test_discover import touch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    touch(tmp_path / "songs" / "Caz" / "1.mp3", tmp_path / "songs" / "Halk" / "1.mp3")
    return tmp_path / "songs"


def walked(folder: Path) -> dict[str, str]:
    """The reason by path, without the two songs that are always there."""
    found = list(walk(folder))
    reasons = dict(found)
    assert len(reasons) == len(found), "nothing is found twice"
    assert reasons.pop("Caz/1.mp3") == reasons.pop("Halk/1.mp3") == ""
    return reasons


SYSTEM_FOLDERS = [
    "$RECYCLE.BIN",
    "$Recycle.Bin",
    "RECYCLER",
    "System Volume Information",
    "#recycle",
    "@Recycle",
    "@Recently-Snapshot",
    "@eaDir",
    "#snapshot",
    "~snapshot",
    "found.000",
    "lost+found",
    "LOST.DIR",
    "__MACOSX",
    ".Trash-1000",
    ".Trashes",
    ".Spotlight-V100",
    ".AppleDouble",
    ".stversions",
    ".stfolder",
]


@pytest.mark.parametrize("inside", ["", "Caz", "Halk/album"])
@pytest.mark.parametrize("name", SYSTEM_FOLDERS)
def test_folders_of_the_system_are_told_at_any_depth(folder: Path, name: str, inside: str) -> None:
    touch(folder / inside / name / "S-1-5-21" / "gone.mp3")
    assert walked(folder) == {
        str(Path(inside, name, "S-1-5-21", "gone.mp3")): f"in {name}, a folder of the system",
    }


@pytest.mark.parametrize("name", ["$uicideboy$", "#1 hits", "@home", "...And Justice", "Recycled Beats", "snapshots"])
def test_names_that_are_only_unusual_are_no_reason(folder: Path, name: str) -> None:
    touch(folder / "Caz" / name / "song.mp3")
    assert walked(folder) == {f"Caz/{name}/song.mp3": ""}


def test_a_folder_behind_two_links_is_read_once_and_a_real_one_by_its_own_path(folder: Path) -> None:
    (folder / "Arabesk").symlink_to(folder / "Halk")
    touch(folder.parent / "shared" / "song.mp3")
    (folder / "Pop").symlink_to(folder.parent / "shared")
    (folder / "Rock").symlink_to(folder.parent / "shared")
    assert walked(folder) == {
        "Arabesk": "the same folder as Halk",
        "Pop/song.mp3": "",
        "Rock": "the same folder as Pop",
    }


def test_what_is_kept_in_a_hidden_folder_is_found_behind_a_link_to_it(folder: Path) -> None:
    touch(folder / ".store" / "rock" / "song.mp3")
    (folder / "Rock").symlink_to(folder / ".store" / "rock")
    assert walked(folder) == {"Rock/song.mp3": "", ".store/rock/song.mp3": "hidden"}


def test_no_link_in_a_hidden_folder_is_followed(folder: Path) -> None:
    (folder / ".wine").mkdir()
    (folder / ".wine" / "z:").symlink_to("/usr")
    assert walked(folder) == {".wine/z:": "hidden"}


def test_links_to_each_other_and_to_the_whole_disk_come_to_an_end(folder: Path) -> None:
    for genre, other in (("Caz", "Halk"), ("Halk", "Caz")):
        (folder / genre / "other").symlink_to(folder / other)
        (folder / genre / "disk").symlink_to("/")
    touch(folder.parent / "one" / "a.mp3", folder.parent / "two" / "b.mp3")
    (folder.parent / "one" / "on").symlink_to(folder.parent / "two")
    (folder.parent / "two" / "back").symlink_to(folder.parent / "one")
    (folder / "Rock").symlink_to(folder.parent / "one")
    assert walked(folder) == {
        "Caz/disk": "a link to a folder that contains it",
        "Caz/other": "the same folder as Halk",
        "Halk/disk": "a link to a folder that contains it",
        "Halk/other": "the same folder as Caz",
        "Rock/a.mp3": "",
        "Rock/on/b.mp3": "",
        "Rock/on/back": "the same folder as Rock",
    }


def test_a_folder_that_goes_away_meanwhile_is_a_path_with_a_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(folder / "Pop" / "1.mp3")
    stat = Path.stat

    def disconnected(path: Path, **how: Any) -> os.stat_result:
        if path.name == "Pop":
            shutil.rmtree(path, ignore_errors=True)
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", disconnected)
    assert walked(folder) == {"Pop": "the folder cannot be read: No such file or directory"}


def test_more_files_than_a_music_collection_has_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(*(folder / "Caz" / f"song {number}.mp3" for number in range(16)))
    monkeypatch.setattr("edge_runtime.walk.MOST_FILES", 20)
    assert len(walked(folder)) == 16
    touch(folder / "Caz" / "one more.mp3")
    with pytest.raises(TmgcError, match=r"may hold 20 files and folders: .*holds more"):
        walked(folder)
