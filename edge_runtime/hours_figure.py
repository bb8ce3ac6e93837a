"""A history by hour as a picture, drawn with the matplotlib of the ``train`` extra."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from edge_runtime.answers import SILENCE, UNKNOWN
from edge_runtime.errors import TmgcError
from edge_runtime.files import written_whole
from edge_runtime.hours import HourOfGenre, utc_offset

_COLOURS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "navy", "C8", "C9")
"""matplotlib's own but for its grey."""
_GREYS = {SILENCE: "0.8", UNKNOWN: "0.6"}


def write_figure(hours: Sequence[HourOfGenre], path: Path) -> None:
    """Write a PNG: a bar an hour, in minutes, with a colour for each genre.

    Raises
    ------
    TmgcError
        matplotlib is not installed, or there is nothing to draw.
    """
    if not hours:
        raise TmgcError("a picture needs at least one window: nothing was heard in that time. Leave out --since")
    if path.suffix.lower() != ".png":
        raise TmgcError(f"a picture is written as PNG: got {path}. Name it {path.with_suffix('.png')}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise TmgcError(
            "--png needs matplotlib, which is not installed: pip install matplotlib, or use --csv and draw elsewhere"
        ) from None
    times = sorted({hour.hour for hour in hours})
    figure = Figure(figsize=(max(6.0, min(24.0, 2 + len(times) * 0.25)), 4.0), layout="constrained")
    axes = figure.subplots()
    below = dict.fromkeys(times, 0.0)
    # Wall time: an axis of aware times would be drawn in UTC.
    places: list[datetime] = [time.replace(tzinfo=None) + timedelta(minutes=30) for time in times]
    for number, genre in enumerate(sorted({hour.genre for hour in hours})):
        minutes = {hour.hour: hour.seconds / 60 for hour in hours if hour.genre == genre}
        heights, bottom = [minutes.get(time, 0.0) for time in times], [below[time] for time in times]
        colour = _GREYS.get(genre, _COLOURS[number % len(_COLOURS)])
        axes.bar(places, heights, bottom=bottom, width=1 / 26, label=genre, color=colour)  # type: ignore[arg-type]
        below = {time: below[time] + height for time, height in zip(times, heights, strict=True)}
    axes.set_ylabel("minutes")
    axes.set_xlabel(f"local time, UTC{utc_offset(times[-1])}")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.autofmt_xdate()
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=120)
