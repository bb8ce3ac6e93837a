"""Progress of a long job on standard error: a bar in a terminal, a logged line for each phase and epoch elsewhere."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from edge_runtime.terminal import printable
from train.progress import Reporter

log = logging.getLogger("tmgc.train")

_TABLE_ROWS = 15
"""Epochs in the live table: more would not fit into a terminal of usual height."""


class ProgressBar(Reporter):
    """A bar for each phase with the time left, and a table of its epochs; to be used as a context manager.

    Outside a terminal each phase and each epoch is one line of the log.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}", markup=False),
        )
        self._live = (
            Live(console=self._console, transient=True) if self._console.is_terminal and self._console.width else None
        )
        self._task: TaskID | None = None
        self._epochs: list[tuple[int, Mapping[str, float]]] = []

    def __enter__(self) -> ProgressBar:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_phase()
        if self._live:
            self._live.stop()

    def phase(self, name: str, steps: int) -> None:
        """Log the phase, and begin its bar."""
        self._end_phase()
        count = f" ({steps} steps)" if steps else ""
        if self._live:
            self._console.print(Text.assemble((printable(name), "bold"), count))
        else:
            log.info("%s%s", name, count)
        self._task = self._bar.add_task(printable(name), total=steps or None, values="")
        self._update()

    def step(self, values: Mapping[str, float]) -> None:
        """Advance the bar."""
        if self._task is not None:
            self._bar.update(self._task, advance=1, values=_short(values))

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Log the epoch, or add it to the table."""
        self._epochs.append((number, values))
        if not self._live:
            log.info("  epoch %d: %s", number, _short(values))
        self._update()

    def _update(self) -> None:
        if self._live:
            table = [_table(self._epochs[-_TABLE_ROWS:])] if self._epochs else []
            self._live.update(Group(*table, self._bar), refresh=True)

    def _end_phase(self) -> None:
        """Leave the table of the phase's epochs on the screen, and remove its bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if self._live and self._epochs:
            self._live.update(self._bar)
            self._console.print(_table(self._epochs))
        self._epochs = []


def _table(epochs: list[tuple[int, Mapping[str, float]]]) -> Table:
    names = list(epochs[-1][1])
    table = Table("epoch", *(escape(printable(name)) for name in names), box=None, pad_edge=False, padding=(0, 2))
    for number, values in epochs:
        table.add_row(str(number), *(f"{values.get(name, math.nan):.3f}" for name in names))
    return table


def _short(values: Mapping[str, float]) -> str:
    return "  ".join(f"{printable(name)} {value:.3f}" for name, value in values.items())
