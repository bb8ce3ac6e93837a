"""Plots of an evaluation: confusion matrix, reliability diagram, training curves and spectrograms of the genres."""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.files import atomic_write
from edge_runtime.spectrogram import SpectrogramSettings
from train.dataset.dataset import Clip, Dataset
from train.evaluation.calibration import Reliability
from train.evaluation.metrics import Scores, percent
from train.evaluation.results import Evaluation
from train.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_EXAMPLES = 6
"""Images of each genre at most."""
_EXAMPLE_INCHES = 1.1
_COLUMNS = 5
"""Of spectrograms side by side."""
_HZ_TICKS = (500, 1000, 2000, 4000, 8000, 16_000)
_BLUE, _ORANGE, _GREY = "#2f6fb0", "#d9692b", "#8a8a94"
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelcolor": "#3c3c46",
    "axes.edgecolor": "#b4b4be",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#3c3c46",
    "ytick.color": "#3c3c46",
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.06,
    # A genre's name may hold a dollar, which would begin a formula.
    "text.parse_math": False,
}


def write_plots(dataset: Dataset, evaluation: Evaluation) -> dict[str, Path]:
    """Write the plots of an evaluation into the run's folder ``plots``.

    Parameters
    ----------
    dataset : Dataset
    evaluation : Evaluation

    Returns
    -------
    plots : dict of str to Path
        PNG files by name, of :data:`train.run.PLOTS`; ``training`` only where there is a history, ``song_answers`` only
        where songs have several clips.
    """
    figures: dict[str, Callable[[], Figure | None]] = {
        "confusion": lambda: confusion_figure(evaluation),
        "reliability": lambda: reliability_figure(evaluation),
        "song_answers": lambda: song_answers_figure(evaluation),
        "training": lambda: training_figure(dataset.run),
        "spectrograms": lambda: spectrograms_figure(dataset, dataset.of(evaluation.split)),
        "examples": lambda: examples_figure(dataset, evaluation.split),
    }
    paths = {}
    for name, draw in figures.items():
        path = dataset.run.plot(name, evaluation.split)
        if write_figure(draw, path):
            paths[name] = path
    return paths


def write_figure(draw: Callable[[], Figure | None], path: Path) -> bool:
    """Write a figure as PNG in the style of the reports.

    Parameters
    ----------
    draw : callable
        One of the functions below, without arguments.
    path : Path

    Returns
    -------
    written : bool
        False where there is nothing to draw.
    """
    import matplotlib as mpl

    # The font may lack a letter of a genre's name, of which matplotlib warns.
    with warnings.catch_warnings(), mpl.rc_context(_STYLE):
        warnings.simplefilter("ignore")
        figure = draw()
        if figure is None:
            return False
        with atomic_write(path) as partial:
            figure.savefig(partial, dpi=_DPI)
    return True


def confusion_figure(evaluation: Scores) -> Figure:
    """Confusion matrix of the clips: counts, coloured by their share of the true genre."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.4 + 0.5 * len(evaluation.genres)
    figure = new_figure(size, size)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.5 else "#3c3c46"
            axes.text(column, row, str(count), ha="center", va="center", color=color)
    ticks = range(len(evaluation.genres))
    axes.set_xticks(ticks, evaluation.genres, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, evaluation.genres)
    axes.set_xticks(np.arange(len(counts) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(counts) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dcdce3", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    title = f"{evaluation.split} clips: accuracy {percent(evaluation.clip_accuracy)}"
    axes.set(xlabel="predicted genre", ylabel="true genre", title=title)
    return figure


def reliability_figure(evaluation: Evaluation) -> Figure:
    """Reliability diagram (accuracy by confidence), and after temperature scaling where the temperature is not 1."""
    calibration = evaluation.calibration
    temperature = calibration.fit.temperature
    panels = [("unscaled", calibration.before)]
    if temperature != 1:
        panels.append((f"temperature {temperature:.2f}", calibration.after))
    figure = new_figure(0.6 + 3.7 * len(panels), 4.6)
    axes = figure.subplots(2, len(panels), sharex=True, sharey="row", height_ratios=(3, 1), squeeze=False)
    for (upper, lower), (name, found) in zip(axes.T, panels, strict=True):
        _draw_reliability(upper, lower, found)
        upper.set_title(f"{name}: ECE {percent(found.expected_calibration_error)}")
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("clips")
    axes[0, 0].legend(loc="upper left", fontsize=9)
    return figure


def song_answers_figure(evaluation: Evaluation) -> Figure | None:
    """Song accuracy after the first seconds by pooling, with the CI of the used one; None where songs have one clip."""
    used, curves = evaluation.song_answers.choice.pooling, evaluation.song_answers.curves
    if len(curves[used]) == 1:
        return None
    figure = new_figure(6.2, 3.8)
    axes = figure.subplots()
    seconds = [point.seconds for point in curves[used]]
    low, high = zip(*(point.accuracy_ci for point in curves[used]), strict=True)
    axes.fill_between(seconds, low, high, color=_BLUE, alpha=0.15, linewidth=0, label="95 % CI")
    for name, color in zip(curves, (_BLUE, _ORANGE, _GREY), strict=True):
        accuracies = [point.accuracy for point in curves[name]]
        axes.plot(seconds, accuracies, ".-", color=color, linewidth=2 if name == used else 1, label=name)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_xlim(left=0)
    axes.set(
        xlabel="first seconds of the song's clips",
        ylabel="song accuracy",
        title=f"{evaluation.split} songs: accuracy {percent(evaluation.song_accuracy)}",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
    return figure


def training_figure(run: Run) -> Figure | None:
    """Loss and accuracy by epoch, or None where the run has no history or its training is unfinished."""
    from train.training.checkpoint import Checkpoint

    rows = _history(run)
    if not rows or Checkpoint(run).exists():
        return None
    epochs = range(1, len(rows) + 1)
    figure = new_figure(8.0, 3.4)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, label, color in ((quantity, "training", _BLUE), (f"val_{quantity}", "validation", _ORANGE)):
            axes.plot(epochs, [_number(row.get(column)) for row in rows], ".-", color=color, label=label)
        _mark_phases(axes, rows)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].legend(fontsize=9)
    return figure


def spectrograms_figure(dataset: Dataset, clips: Sequence[Clip]) -> Figure:
    """The image of one clip of each genre, with axes of time and mel frequency.

    Parameters
    ----------
    dataset : Dataset
    clips : sequence of Clip
        The first one of each genre is shown; a genre without one is left out.
    """
    shown = list({clip.genre: clip for clip in reversed(clips)}.values())
    shown.sort(key=lambda clip: dataset.genres.index(clip.genre))
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(0.8 + 1.7 * columns, 0.5 + 1.9 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    hertz = _visible_ticks(dataset.spectrogram)
    for axes, clip in zip(panels.flat, shown, strict=False):
        extent = (0.0, dataset.spectrogram.window_seconds, 0.0, 1.0)
        image = dataset.images([clip])[0]
        in_rgb = np.broadcast_to(image, (*image.shape[:2], 3))  # matplotlib would colour a single channel
        axes.imshow(in_rgb, aspect="auto", extent=extent, interpolation="nearest")
        axes.set_title(clip.genre)
        axes.set_yticks(mel_positions(hertz, dataset.spectrogram), [_kilohertz(hz) for hz in hertz])
    for axes in list(panels.flat)[len(shown) :]:
        axes.remove()
    figure.supxlabel("time, s", fontsize=10)
    figure.supylabel("mel frequency, kHz", fontsize=10)
    return figure


def mel_positions(hertz: Iterable[float], settings: SpectrogramSettings) -> list[float]:
    """Height of frequencies in an image, from 0 (bottom) to 1 (top).

    The centre of mel band i is at (i + 0.5) / n_mels, and its frequency is that of
    ``librosa.mel_frequencies(n_mels + 2, fmax=sample_rate / 2)[i + 1]``.
    """
    from librosa import mel_frequencies

    edges = mel_frequencies(settings.n_mels + 2, fmin=0.0, fmax=settings.sample_rate / 2)
    centres = (np.arange(settings.n_mels + 2) - 0.5) / settings.n_mels
    return [float(position) for position in np.interp(list(hertz), edges, centres)]


def examples_figure(dataset: Dataset, split: str) -> Figure:
    """A row of images for each genre of a split, of as many songs as possible."""
    shown = [_examples([clip for clip in dataset.of(split) if clip.genre == genre]) for genre in dataset.genres]
    mosaic = _mosaic([dataset.images(clips) for clips in shown], dataset.spectrogram)
    columns, rows = max(map(len, shown)), len(shown)
    figure = new_figure(1.2 + columns * _EXAMPLE_INCHES, 0.3 + rows * _EXAMPLE_INCHES)
    axes = figure.subplots()
    axes.imshow(mosaic, aspect="auto", extent=(0.0, columns, rows, 0.0))
    axes.set_yticks(np.arange(rows) + 0.5, dataset.genres)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _mosaic(rows: Sequence[NDArray[np.uint8]], settings: SpectrogramSettings) -> NDArray[np.uint8]:
    """Rows of images on white, with a gap around each."""
    gap = max(1, settings.image_width // 28)
    height, width = settings.image_height + 2 * gap, settings.image_width + 2 * gap
    mosaic = np.full((len(rows) * height, max(map(len, rows)) * width, 3), 255, np.uint8)
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            top, left = row * height + gap, column * width + gap
            mosaic[top : top + settings.image_height, left : left + settings.image_width] = image
    return mosaic


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw_reliability(upper: Axes, lower: Axes, found: Reliability) -> None:
    confidences, accuracies = [each.confidence for each in found.bins], [each.accuracy for each in found.bins]
    upper.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="perfect calibration")
    upper.vlines(confidences, confidences, accuracies, color=_ORANGE, linewidth=2, label="gap")
    upper.plot(confidences, accuracies, "o-", color=_BLUE, label="bins")
    upper.set(xlim=(0, 1), ylim=(0, 1.02))
    upper.grid(alpha=0.3)
    lows = [each.low for each in found.bins]
    widths = [each.high - each.low for each in found.bins]
    lower.bar(lows, [each.clips for each in found.bins], widths, align="edge", color=_BLUE, edgecolor="white")
    lower.set_xlabel("confidence")


def _mark_phases(axes: Axes, rows: list[dict[str, str]]) -> None:
    """A dotted line with the phase's name before its first epoch."""
    for number, (before, row) in enumerate(pairwise([{}, *rows])):
        if before.get("phase") != row.get("phase"):
            axes.axvline(number + 0.5, color=_GREY, linestyle=":")
            height = 1.01 if number == 0 else 1.06  # the few epochs of the head leave no room beside its name
            axes.text(number + 0.5, height, f" {row['phase']}", transform=axes.get_xaxis_transform(), fontsize=9)


def _visible_ticks(settings: SpectrogramSettings) -> list[int]:
    return [hz for hz in _HZ_TICKS if hz < settings.sample_rate / 2]


def _kilohertz(hz: int) -> str:
    return f"{hz / 1000:g}"


def _examples(clips: list[Clip]) -> list[Clip]:
    """One clip of each song before a second one of any."""
    first = {clip.song: clip for clip in reversed(clips)}
    return sorted(clips, key=lambda clip: first[clip.song] is not clip)[:_EXAMPLES]


def _history(run: Run) -> list[dict[str, str]]:
    if not run.history_csv.is_file():
        return []
    with run.history_csv.open(newline="", encoding="utf-8", errors="replace") as file:
        return list(csv.DictReader(file))


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
