"""What the export is doing, on standard error."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from train.libraries import own_stderr, silence

if TYPE_CHECKING:
    from rich.console import Console


class Steps:
    """Says what is being done before it is done, and how long it took.

    Attributes
    ----------
    seconds : dict of str to float
        How long each step took, by what was said.
    console : rich.console.Console
        Standard error, for tables.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._file = own_stderr()
        if self._file is not sys.stderr:
            weakref.finalize(self, self._file.close)
        self.console: Console = Console(file=self._file, highlight=False, soft_wrap=True)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what is being done while it is done, and let no library talk over it."""
        begun = perf_counter()
        if self.console.is_terminal:
            with self.console.status(what), silence():
                yield
            self.say(f"{what}: {perf_counter() - begun:.1f} s")
        else:
            self.say(f"{what} ...")
            with silence():
                yield
        self.seconds[what] = perf_counter() - begun

    def say(self, line: str) -> None:
        """Tell a person something."""
        self.console.print(line, markup=False)
        self._file.flush()
