"""The live view: what is playing now and how sure that is, on a whole terminal that is given back as it was."""

from __future__ import annotations

import io
import sys
from collections import deque
from pathlib import Path
from typing import TextIO

import click
from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge_runtime.classifier import GenreClassifier
from edge_runtime.cli.base import say
from edge_runtime.files import to_utf8
from edge_runtime.outputs.text import summary_line
from edge_runtime.predictions import SILENCE, UNKNOWN, Event, Prediction, Summary

REFRESHES_PER_SECOND = 4
"""Apart from the answers, so that drawing never delays one."""

QUIETEST_DBFS = -60.0
"""Where the level meter begins."""

_COLOURS = (
    "green3",
    "deep_sky_blue1",
    "magenta2",
    "orange1",
    "red1",
    "yellow1",
    "turquoise2",
    "medium_purple1",
    "chartreuse1",
    "hot_pink",
)
_NO_GENRE = {SILENCE: "grey37", UNKNOWN: "grey62"}
_LONGEST_TIMELINE = 500
_CHANGES = 20
_MOST_NOTES = 1000
_FIXED_LINES = 8
"""All but the bars of the genres, the changes, warnings and notes."""


def can_show() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


class LiveView:
    """Draws on a terminal from the first window of a source to its summary, which is printed as a line.

    Parameters
    ----------
    classifier : GenreClassifier
    model : Path
        The file that it was opened from.
    console : rich.console.Console, optional
        Standard output by default.
    """

    def __init__(self, classifier: GenreClassifier, model: Path, console: Console | None = None) -> None:
        self._console = console or Console()
        card = classifier.card
        self._genres = card.genres
        self._colours = {genre: _COLOURS[n % len(_COLOURS)] for n, genre in enumerate(self._genres)} | _NO_GENRE
        self._model = f"{model.name}, {classifier.runtime}, {classifier.threads} thread(s)"
        self._warning = card.warning
        self._live: Live | None = None
        self._notes = _Notes()
        self._forget()

    def window(self, prediction: Prediction) -> None:
        self._take(prediction)
        if self._live is None:
            self._show()

    def event(self, event: Event) -> None:
        """Standard error has it already, and with it the notes."""

    def summary(self, summary: Summary) -> None:
        self.close()
        click.echo(to_utf8(summary_line(summary)))
        self._forget()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._notes.end()

    def _take(self, prediction: Prediction) -> None:
        if not self._recent or self._recent[-1].smoothed_genre != prediction.smoothed_genre:
            self._changes.append(prediction)
        self._recent.append(prediction)

    def _show(self) -> None:
        self._live = Live(
            console=self._console,
            screen=True,
            refresh_per_second=REFRESHES_PER_SECOND,
            get_renderable=self.view,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._notes.begin()
        self._live.start(refresh=True)

    def _forget(self) -> None:
        self._recent: deque[Prediction] = deque(maxlen=_LONGEST_TIMELINE)
        self._changes: deque[Prediction] = deque(maxlen=_CHANGES)

    def view(self) -> RenderableType:
        """What is on the screen now, fitted to its size."""
        if not self._recent:
            return Text("listening ...")
        prediction, width, height = self._recent[-1], self._console.width, self._console.height
        warning = list(Text(self._warning, style="yellow").wrap(self._console, width)) if self._warning else []
        room = max(1, height - _FIXED_LINES - len(warning) - bool(self._notes.last))
        bars = min(len(self._genres), room)
        lines: list[RenderableType] = [
            self._line(prediction.source, "bold"),
            self._now(prediction),
            self._bars(prediction, bars),
            self._level(prediction),
            self._timeline(width),
            *(self._line(change, "") for change in self._last_changes(max(0, room - bars))),
            self._figures(prediction),
            self._line(self._model, "dim"),
            *warning,
        ]
        if self._notes.last:
            lines.append(self._line(self._notes.last, "yellow"))
        return Group(*lines)

    def _now(self, prediction: Prediction) -> RenderableType:
        colour = self._colours[prediction.smoothed_genre]
        genre = Text(prediction.smoothed_genre, style=f"bold {colour}")
        if prediction.smoothed_genre != SILENCE:
            genre.append(f"   {prediction.smoothed_confidence:.0%}", style="bold")
        return Panel(Align.center(genre), border_style=colour, padding=0)

    def _bars(self, prediction: Prediction, count: int) -> RenderableType:
        """A bar a genre in the card's order; the likeliest alone where there is no room for all."""
        shown = sorted(self._genres, key=lambda genre: -prediction.probabilities.get(genre, 0.0))[:count]
        names = max(len(genre) for genre in self._genres)
        width = max(4, self._console.width - names - 7)
        table = Table.grid(padding=(0, 1))
        for genre in self._genres:
            if genre in shown:
                share = prediction.probabilities.get(genre, 0.0)
                table.add_row(Text(genre), _bar(share, width, self._colours[genre]), Text(f"{share:4.0%}"))
        return table

    def _level(self, prediction: Prediction) -> RenderableType:
        share = 1 - max(QUIETEST_DBFS, min(0.0, prediction.level_dbfs)) / QUIETEST_DBFS
        colour = "red1" if prediction.level_dbfs > -3 else "green3"
        table = Table.grid(padding=(0, 1))
        figure = f"{prediction.level_dbfs:.0f} dBFS"
        bar = _bar(share, max(4, self._console.width - len(figure) - 8), colour)
        table.add_row(Text("level", style="dim"), bar, Text(figure))
        return table

    def _timeline(self, width: int) -> Text:
        """A cell a window, the newest at the right: the first letter of its genre in the genre's colour."""
        line = Text(no_wrap=True)
        for prediction in list(self._recent)[-width:]:
            genre = prediction.smoothed_genre
            sign = {SILENCE: " ", UNKNOWN: "?"}.get(genre, genre[0])
            line.append(sign, style=f"black on {self._colours[genre]}")
        return line

    def _last_changes(self, count: int) -> list[str]:
        newest = list(reversed(self._changes))[:count]
        return [f"{change.time.astimezone():%H:%M:%S}  {change.smoothed_genre}" for change in newest]

    def _figures(self, prediction: Prediction) -> Text:
        latency = prediction.spectrogram_ms + prediction.model_ms
        dropped = f"dropped {prediction.dropped_windows}"
        return self._line(f"latency {latency:.0f} ms  delay {prediction.delay_ms:.0f} ms  {dropped}", "dim")

    def _line(self, text: str, style: str) -> Text:
        printable = "".join(sign if sign.isprintable() else "?" for sign in text)
        return Text(printable, style=style, no_wrap=True, overflow="ellipsis")


def _bar(share: float, width: int, colour: str) -> Text:
    """So much of the width, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")
    return Text(bar.ljust(width), style=colour)


class _Notes(io.StringIO):
    """Takes standard error's place while the view is shown, and says afterwards what came: nothing gets lost."""

    def __init__(self) -> None:
        super().__init__()
        self._stderr: TextIO = sys.stderr
        self._lines: deque[str] = deque(maxlen=_MOST_NOTES)

    @property
    def last(self) -> str:
        """The newest line, for the view."""
        return self._lines[-1] if self._lines else ""

    def write(self, text: str) -> int:
        self._lines.extend(line for line in text.splitlines() if line)
        return len(text)

    def begin(self) -> None:
        self._stderr, sys.stderr = sys.stderr, self

    def end(self) -> None:
        sys.stderr = self._stderr
        for line in self._lines:
            say(line)
        self._lines.clear()
