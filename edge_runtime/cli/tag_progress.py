"""Progress of ``tmgc-tag`` on standard error: a bar in a terminal, a line every half a minute elsewhere; a summary."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from edge_runtime.archive.song import Row
from edge_runtime.archive.tagging import Outcome, Progress

log = logging.getLogger("tmgc.archive")

_LINE_SECONDS = 30.0
"""From one line to the next where there is no terminal."""


class ShownProgress(Progress):
    """Shows how many songs are done, how fast, and the time that is left; a context manager.

    Parameters
    ----------
    cores : int > 0
        That are at work.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._console = Console(stderr=True, highlight=False)
        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("songs  {task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, rate="")
        self._total = self._done = self._computed = self._failed = 0
        self._decode_ms = self._model_ms = 0.0
        self._begun = self._told = monotonic()

    def __enter__(self) -> ShownProgress:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        if kind is not None and self._total:
            log.info("%d of %d songs are done: the same command goes on from there", self._done, self._total)

    def begin(self, songs: int, done: int) -> None:
        """Say how much there is to do."""
        self._total, self._done = songs, done
        self._begun = self._told = monotonic()
        if 0 < done < songs:
            log.info("%d of %d songs are done already", done, songs)
        self._bar.update(self._task, total=songs, completed=done)

    def taken_over(self, songs: int) -> None:
        """Count songs that have not changed."""
        self._done += songs
        self._bar.update(self._task, completed=self._done)

    def song(self, row: Row) -> None:
        """Count a song."""
        self._done += 1
        self._computed += 1
        self._failed += row.error is not None
        self._decode_ms += row.decode_ms
        self._model_ms += row.model_ms
        self._bar.update(self._task, completed=self._done, rate=self._rate)
        if not self._console.is_terminal and monotonic() - self._told > _LINE_SECONDS:
            self._told = monotonic()
            left = (self._total - self._done) * (monotonic() - self._begun) / self._computed
            log.info("%d of %d songs, %s, %s left", self._done, self._total, self._rate, _duration(left))

    @property
    def _rate(self) -> str:
        rate = self._computed / max(1e-3, monotonic() - self._begun)
        return f"{rate:.1f} songs/s, {rate / self._cores:.2f} a core"

    def summarise(self, outcome: Outcome, out: Path) -> None:
        """Log the genres of all songs, how fast it was, and where the results are."""
        log.info("%d songs: %s", outcome.songs, _counted(outcome.genres))
        if self._computed:
            spent = self._decode_ms + self._model_ms
            shares = f"; decoding {self._decode_ms / spent:.0%}, model {self._model_ms / spent:.0%}" if spent else ""
            taken = _duration(monotonic() - self._begun)
            log.info("%d of them in %s: %s%s", self._computed, taken, self._rate, shares)
        else:
            log.info("nothing has changed")
        if outcome.failed:
            log.warning(
                "could not be read: %d of %d songs; tmgc-tag report %s says why", outcome.failed, outcome.songs, out
            )


def _counted(genres: Mapping[str, int]) -> str:
    ordered = sorted(genres.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{genre} {count}" for genre, count in ordered) or "none with a genre"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
