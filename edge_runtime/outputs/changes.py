"""Only the windows whose smoothed answer is another than the last: for logs that a person reads."""

from __future__ import annotations

from edge_runtime.answers import Answer, Event, Summary
from edge_runtime.outputs import Output


class OnlyChanges:
    """Hands to another output the first window of a source and each whose smoothed genre is new, and all else.

    Parameters
    ----------
    output : Output
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: tuple[str, str] | None = None

    def window(self, answer: Answer) -> None:
        now = (answer.source, answer.smoothed_genre)
        if now != self._last:
            self._last = now
            self._output.window(answer)

    def event(self, event: Event) -> None:
        self._output.event(event)

    def summary(self, summary: Summary) -> None:
        self._last = None
        self._output.summary(summary)

    def close(self) -> None:
        self._output.close()
