"""A run that nothing has changed is left as it is; whatever has changed is prepared anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.dataset.conftest import SETTINGS, melody, write_songs, write_sound
from train.dataset import DatasetConfig, Skipped, prepare
from train.dataset.dataset import Dataset
from train.run import Run


def prepared(folder: Path, settings: DatasetConfig = SETTINGS) -> tuple[list[str], Dataset, list[Skipped]]:
    """What is told, and what comes of it."""
    notes = list[str]()
    dataset, skipped = prepare(folder / "songs", Run(folder / "run"), settings, workers=1, on_note=notes.append)
    return notes, dataset, skipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    songs = write_songs(tmp_path / "songs", songs=3)
    (songs / "Caz" / os.fsdecode(b"\xfe.txt")).touch()
    write_sound(songs / "Caz" / "short.wav", melody(9, seconds=1.0))
    prepared(tmp_path)
    return tmp_path


def test_the_same_command_again_leaves_the_run_as_it_was(folder: Path) -> None:
    csv = folder / "run" / "dataset.csv"
    before = csv.stat().st_mtime_ns
    notes, dataset, skipped = prepared(folder)
    assert notes == ["nothing changed: 12 clips are as they were"]
    assert csv.stat().st_mtime_ns == before
    assert len(dataset.clips) == 12
    assert {Path(item.song).name for item in skipped} == {os.fsdecode(b"\xfe.txt"), "short.wav"}


CHANGES: dict[str, Callable[[Path, Dataset], object]] = {
    "a song": lambda folder, _: write_sound(folder / "songs" / "Caz" / "song 1.wav", melody(50)),
    "a new song": lambda folder, _: write_sound(folder / "songs" / "Caz" / "new.wav", melody(51)),
    "groups": lambda folder, _: (folder / "songs" / "groups.csv").write_text("path,group\nCaz/short.wav,a\n"),
    "where the songs come from": lambda folder, _: (folder / "songs" / "demo_corpus.json").touch(),
    "a damaged clip": lambda _, dataset: dataset.clips[3].audio_path(dataset.run).write_bytes(b"no sound"),
    "a lost picture": lambda _, dataset: dataset.clips[3].image_path(dataset.run).unlink(),
    "a damaged list": lambda _, dataset: dataset.run.dataset_csv.write_text("clip"),
    "a damaged record": lambda folder, _: (folder / "run" / "prepared.json").write_text("[]"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_prepared_anew(folder: Path, change: str) -> None:
    _, dataset, _ = prepared(folder)
    CHANGES[change](folder, dataset)
    notes, dataset, _ = prepared(folder)
    assert not any("nothing changed" in note for note in notes)
    assert len(dataset.index_images(dataset.clips)) == len(dataset.clips) >= 12
    for clip in dataset.clips:
        dataset.sound(clip)


def test_another_split_is_another_corpus(folder: Path) -> None:
    notes, _, _ = prepared(folder, replace(SETTINGS, seed=1))
    assert not notes
