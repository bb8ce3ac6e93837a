"""Progress on standard error: a bar in a terminal, a line a phase elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Reporter:
    """Is told how a long job goes. This one keeps it to itself."""

    def phase(self, name: str, steps: int) -> None:
        """A phase of so many steps begins; 0 where nobody knows."""

    def step(self, values: Mapping[str, float]) -> None:
        """One step of the phase is done, and this is how it went."""

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """One epoch of the phase is done."""


class ProgressBar(Reporter):
    """A bar for each phase, with time left; as a context manager it clears up behind itself.

    Outside a terminal each phase and each epoch is one line, so that a log file can be read.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def phase(self, name: str, steps: int) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=steps or None, values="")
        self._console.print(f"[bold]{name}[/bold]" + (f" ({steps} steps)" if steps else ""), highlight=False)

    def step(self, values: Mapping[str, float]) -> None:
        if self._task is not None:
            self._bar.update(self._task, advance=1, values=_short(values))

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        self._console.print(f"  epoch {number}: {_short(values)}", highlight=False)


def _short(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in values.items())
