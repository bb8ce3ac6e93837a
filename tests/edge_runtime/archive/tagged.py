"""Small libraries of real songs, and runs of ``tmgc-tag`` on them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from edge_runtime.archive.results import read_archive
from edge_runtime.archive.song import Row, Song, Tagger, TagSettings
from edge_runtime.archive.tagging import Job, Outcome, Progress, Share, tag

RATE = 22_050

TIMINGS = ("decode_ms", "model_ms")

TAG = (sys.executable, "-c", "from edge_runtime.cli.tag import main; main()")
"""``tmgc-tag`` as a process of its own."""


def write_song(path: Path, *, seconds: float = 5.0, hz: float = 440.0, level: float = 0.3) -> Path:
    """A tone in noise, in the format that the name says; each has its own noise, by its name."""
    generator = np.random.default_rng(list(path.name.encode()))
    time = np.arange(round(seconds * RATE)) / RATE
    sound = level * np.sin(2 * np.pi * hz * time) + level / 10 * generator.standard_normal(len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound.astype(np.float32), RATE)
    return path


def write_library(folder: Path, songs: int, *, broken: Iterable[int] = (), seconds: float = 5.0) -> Path:
    """Numbered mp3 songs in folders of ten; some are noise without a header."""
    for number in range(songs):
        path = folder / f"{number // 10:02d}" / f"{number:04d}.mp3"
        if number in broken:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(np.random.default_rng(number).bytes(4000))
        else:
            write_song(path, hz=200.0 + 30 * number, seconds=seconds)
        os.utime(path, (10**9 + number, 10**9 + number))  # by which shards are divided
    return folder


def write_copies(folder: Path, copies: int, **options: Any) -> Path:
    """Six songs, one of them broken, and copies of their folder: encoding takes longer than tagging."""
    write_library(folder, 6, broken=[3], **options)
    for copy in range(1, copies):
        shutil.copytree(folder / "00", folder / f"{copy:02d}")
    return folder


def tag_library(
    music: Path | Iterable[str],
    out: Path,
    model: Path,
    *,
    windows: int | None = 2,
    embeddings: bool = False,
    share: Share = Share(),  # noqa: B008  # a tuple
    progress: Progress | None = None,
    **options: Any,
) -> Outcome:
    """Run with an engine without processes of its own."""
    roots = (str(music),) if isinstance(music, Path) else tuple(music)
    tagger = Tagger.of(model, TagSettings(windows, embeddings))

    def engine(songs: Iterable[Song]) -> Generator[tuple[Song, Row], None, None]:
        for song in songs:
            yield song, tagger(song, lambda: None)

    return tag(Job(roots, out, tagger, share, **options), engine, progress)


def rows(out: Path) -> list[dict[str, Any]]:
    """All rows but for their timings."""
    return [{key: value for key, value in row.items() if key not in TIMINGS} for row in read_archive(out).rows()]


def tag_command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """``tmgc-tag`` with these arguments, to its end."""
    return subprocess.run(
        [*TAG, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )


class Computed(Progress):
    """Counts the songs that are classified."""

    def __init__(self) -> None:
        self.songs = 0

    def song(self, row: Row) -> None:
        self.songs += 1


class Interrupting(Computed):
    """Ends a run after so many songs."""

    def __init__(self, songs: int) -> None:
        super().__init__()
        self._most = songs

    def song(self, row: Row) -> None:
        super().song(row)
        if self.songs == self._most:
            raise KeyboardInterrupt


class WithOthers(Computed):
    """Has others work once the first song is done."""

    def __init__(self, others: Callable[[], None]) -> None:
        super().__init__()
        self._others = others

    def song(self, row: Row) -> None:
        super().song(row)
        if self.songs == 1:
            self._others()


def computed(*arguments: Any, **options: Any) -> int:
    """Songs that a run classifies."""
    progress = Computed()
    tag_library(*arguments, progress=progress, **options)
    return progress.songs
