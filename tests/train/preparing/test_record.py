"""A run that nothing has changed is left as it is; whatever has changed is prepared anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.preparing.conftest import SETTINGS, melody, write_songs, write_sound
from train.corpus import Corpus
from train.preparing import PrepareSettings, Skipped, prepare
from train.run import Run


def prepared(folder: Path, settings: PrepareSettings = SETTINGS) -> tuple[list[str], Corpus, list[Skipped]]:
    """What is told, and what comes of it."""
    notes = list[str]()
    corpus, skipped = prepare(folder / "songs", Run(folder / "run"), settings, workers=1, on_note=notes.append)
    return notes, corpus, skipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    songs = write_songs(tmp_path / "songs", songs=3)
    (songs / "Caz" / os.fsdecode(b"\xfe.txt")).touch()
    write_sound(songs / "Caz" / "short.wav", melody(9, seconds=1.0))
    prepared(tmp_path)
    return tmp_path


def test_the_same_command_again_leaves_the_run_as_it_was(folder: Path) -> None:
    csv = folder / "run" / "corpus.csv"
    before = csv.stat().st_mtime_ns
    notes, corpus, skipped = prepared(folder)
    assert notes == ["nothing changed: 12 clips are as they were"]
    assert csv.stat().st_mtime_ns == before
    assert len(corpus.clips) == 12
    assert {Path(item.song).name for item in skipped} == {os.fsdecode(b"\xfe.txt"), "short.wav"}


CHANGES: dict[str, Callable[[Path, Corpus], object]] = {
    "a song": lambda folder, _: write_sound(folder / "songs" / "Caz" / "song 1.wav", melody(50)),
    "a new song": lambda folder, _: write_sound(folder / "songs" / "Caz" / "new.wav", melody(51)),
    "groups": lambda folder, _: (folder / "songs" / "groups.csv").write_text("path,group\nCaz/short.wav,a\n"),
    "where the songs come from": lambda folder, _: (folder / "songs" / "demo_corpus.json").touch(),
    "a damaged clip": lambda _, corpus: corpus.clips[3].sound(corpus.run).write_bytes(b"no sound"),
    "a lost picture": lambda _, corpus: corpus.clips[3].picture(corpus.run).unlink(),
    "a damaged list": lambda _, corpus: corpus.run.corpus_csv.write_text("clip"),
    "a damaged record": lambda folder, _: (folder / "run" / "prepared.json").write_text("[]"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_prepared_anew(folder: Path, change: str) -> None:
    _, corpus, _ = prepared(folder)
    CHANGES[change](folder, corpus)
    notes, corpus, _ = prepared(folder)
    assert not any("nothing changed" in note for note in notes)
    assert len(corpus.grey(corpus.clips)) == len(corpus.clips) >= 12
    for clip in corpus.clips:
        corpus.sound(clip)


def test_another_split_is_another_corpus(folder: Path) -> None:
    notes, _, _ = prepared(folder, replace(SETTINGS, seed=1))
    assert not notes
