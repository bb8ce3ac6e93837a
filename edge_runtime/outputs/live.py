"""The live view: the current genre, all probabilities, level and latency on a whole terminal, restored afterwards."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import ExitStack
from pathlib import Path

from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge_runtime.classifier import GenreClassifier
from edge_runtime.logs import LOGGER, format_notice, replace_handler
from edge_runtime.outputs import Output
from edge_runtime.outputs.text import summary_line
from edge_runtime.predictions import SILENCE, UNKNOWN, Prediction, Summary
from edge_runtime.terminal import printable

REFRESHES_PER_SECOND = 4
"""The view is drawn by a thread of its own, so that drawing never delays a prediction."""

QUIETEST_DBFS = -60.0
"""Lower end of the level meter; the upper end is 0 dBFS."""

CLIPPING_DBFS = -3.0
"""The level meter is red above it."""

TIMELINE_WINDOWS = 500
"""Windows that are kept for the timeline: the widest terminal that it fills."""

MAX_CHANGES = 20
"""Changes of the smoothed genre that are kept for the list."""

MAX_NOTICES = 1000
"""Notices that are kept until the view closes; older ones are lost."""

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
_NO_GENRE_COLOURS = {SILENCE: "grey37", UNKNOWN: "grey62"}
_FIXED_LINES = 8
"""Lines that are always shown: source, panel (3), level, timeline, latency, model."""


def can_show() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal and console.width * console.height > 0


class LiveView(Output):
    """Draws on a terminal from the first window of a source to its summary, which is printed as a line.

    While it is shown, the project's notices appear in its last line; they are handed to the earlier handlers when it
    closes.

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
        colours = {genre: _COLOURS[n % len(_COLOURS)] for n, genre in enumerate(self._genres)}
        self._colours = colours | _NO_GENRE_COLOURS
        self._model = f"{model.name}, {classifier.runtime}, {classifier.threads} thread(s)"
        self._warning = printable(card.warning or "")
        self._window_seconds = card.spectrogram.window_seconds
        self._notices = _Notices()
        self._screen: ExitStack | None = None
        self._reset()

    def window(self, prediction: Prediction) -> None:
        self._add(prediction)
        if self._screen is None:
            self._screen = self._open_screen()

    def summary(self, summary: Summary) -> None:
        self.close()
        line = summary_line(summary, window_seconds=self._window_seconds)
        print(printable(line), file=self._console.file, flush=True)
        self._reset()

    def close(self) -> None:
        if self._screen is not None:
            self._screen.close()
            self._screen = None
            self._notices.hand_on()

    def _add(self, prediction: Prediction) -> None:
        if not self._recent or self._recent[-1].smoothed_genre != prediction.smoothed_genre:
            self._changes.append(prediction)
        self._recent.append(prediction)

    def _open_screen(self) -> ExitStack:
        live = Live(
            console=self._console,
            screen=True,
            refresh_per_second=REFRESHES_PER_SECOND,
            get_renderable=self.render,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with ExitStack() as screen:
            screen.enter_context(replace_handler(self._notices))
            screen.callback(live.stop)
            live.start(refresh=True)
            return screen.pop_all()

    def _reset(self) -> None:
        self._recent: deque[Prediction] = deque(maxlen=TIMELINE_WINDOWS)
        self._changes: deque[Prediction] = deque(maxlen=MAX_CHANGES)

    def render(self) -> RenderableType:
        """The present content, fitted to the size of the console."""
        if not self._recent:
            return Text("listening ...")
        prediction, width, height = self._recent[-1], self._console.width, self._console.height
        warning = list(Text(self._warning, style="yellow").wrap(self._console, width)) if self._warning else []
        notice = self._notices.newest
        free_lines = max(1, height - _FIXED_LINES - len(warning) - bool(notice))
        bars = min(len(self._genres), free_lines)
        return Group(
            _line(prediction.source, "bold"),
            self._genre_panel(prediction),
            self._bars(prediction, bars),
            self._timeline(width),
            *(_line(change) for change in self._newest_changes(max(0, free_lines - bars))),
            _line(_latency(prediction), "dim"),
            _line(self._model, "dim"),
            *warning,
            *([_line(notice, "yellow")] if notice else []),
        )

    def _genre_panel(self, prediction: Prediction) -> RenderableType:
        colour = self._colours[prediction.smoothed_genre]
        genre = Text(prediction.smoothed_genre, style=f"bold {colour}")
        if prediction.smoothed_genre != SILENCE:
            genre.append(f"   {prediction.smoothed_confidence:.0%}", style="bold")
        return Panel(Align.center(genre), border_style=colour, padding=0)

    def _bars(self, prediction: Prediction, count: int) -> RenderableType:
        """A bar for each genre in the card's order, or for the most probable ones, and one for the level."""
        most_probable = sorted(self._genres, key=lambda genre: -prediction.probabilities.get(genre, 0.0))[:count]
        level = f"{prediction.level_dbfs:3.0f} dBFS"
        label_width = max(map(len, (*self._genres, "level")))
        width = self._console.width - label_width - len(level) - 2
        table = Table.grid(padding=(0, 1))
        table.add_column(min_width=label_width)
        for genre in self._genres:
            if genre in most_probable:
                probability = prediction.probabilities.get(genre, 0.0)
                bar = self._bar(probability, width, self._colours[genre])
                table.add_row(Text(genre), bar, Text(f"{probability:.0%}", justify="right"))
        fraction = 1 - max(QUIETEST_DBFS, min(0.0, prediction.level_dbfs)) / QUIETEST_DBFS
        colour = "red1" if prediction.level_dbfs > CLIPPING_DBFS else "green3"
        table.add_row(Text("level", style="dim"), self._bar(fraction, width, colour), Text(level))
        return table

    def _bar(self, fraction: float, width: int, colour: str) -> Text:
        """A bar over a fraction of the width, to an eighth of a cell, or of ``#`` where the terminal has no blocks."""
        width = max(4, width)
        eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
        full, rest = divmod(eighths, 8)
        if self._console.options.ascii_only:
            return Text(("#" * round(eighths / 8)).ljust(width), style=colour)
        partial = "▏▎▍▌▋▊▉"[rest - 1] if rest else ""
        return Text(("█" * full + partial).ljust(width), style=colour)

    def _timeline(self, width: int) -> Text:
        """A cell for each window, the newest at the right: the first letter of its genre in the genre's colour."""
        line = Text(no_wrap=True)
        for prediction in list(self._recent)[-width:]:
            genre = prediction.smoothed_genre
            letter = {SILENCE: " ", UNKNOWN: "?"}.get(genre, genre[0])
            line.append(letter, style=f"black on {self._colours[genre]}")
        return line

    def _newest_changes(self, count: int) -> list[str]:
        newest = list(reversed(self._changes))[:count]
        return [f"{change.time.astimezone():%H:%M:%S}  {change.smoothed_genre}" for change in newest]


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def _latency(prediction: Prediction) -> str:
    latency = f"latency {prediction.latency_ms:.0f} ms  delay {prediction.delay_ms:.0f} ms"
    return f"{latency}  dropped {prediction.dropped_windows}"


class _Notices(logging.Handler):
    """Keeps notices while the view covers the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._records: deque[logging.LogRecord] = deque(maxlen=MAX_NOTICES)

    @property
    def newest(self) -> str:
        """The newest notice as a line; empty without one."""
        return format_notice(self._records[-1]) if self._records else ""

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)

    def hand_on(self) -> None:
        """Give the notices to the project's present handlers, oldest first."""
        while self._records:
            LOGGER.callHandlers(self._records.popleft())
