"""The evaluation's plots: confusion, training, reliability, and examples of every genre."""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from edge_runtime.files import atomic_write
from train.dataset.dataset import Clip, Dataset
from train.evaluation.calibration import Reliability
from train.evaluation.results import Evaluation
from train.run import Run
from train.training.checkpoint import Checkpoint

_DPI = 110
_EXAMPLES = 6
"""Pictures of each genre at most."""
_EXAMPLE_INCHES = 1.1
_BLUE, _ORANGE = "#2f6fb0", "#d2691e"


def write_plots(dataset: Dataset, evaluation: Evaluation) -> dict[str, Path]:
    """Draw what there is to draw into the run's ``plots`` folder.

    Parameters
    ----------
    dataset : Dataset
    evaluation : Evaluation

    Returns
    -------
    plots : dict of str to Path
        PNG files by name: ``confusion``, ``reliability``, ``examples``, and ``training`` where there is a history.
    """
    draw: dict[str, Callable[[], Figure | None]] = {
        "confusion": lambda: confusion_figure(evaluation),
        "reliability": lambda: reliability_figure(evaluation),
        "training": lambda: training_figure(dataset.run),
        "examples": lambda: examples_figure(dataset, evaluation.split),
    }
    paths = {}
    # A genre's name may hold a letter that the font lacks, or a dollar, which would begin a formula.
    with warnings.catch_warnings(), mpl.rc_context({"text.parse_math": False}):
        warnings.simplefilter("ignore")
        for name, drawn in draw.items():
            if (figure := drawn()) is not None:
                paths[name] = dataset.run.plot(name, evaluation.split)
                with atomic_write(paths[name]) as partial:
                    figure.savefig(partial, dpi=_DPI)
    return paths


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Clips by what they are and what they were named; colour is the share of the row."""
    counts = np.array(evaluation.confusion)
    split_ratios = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.6 + 0.52 * len(evaluation.genres)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(split_ratios, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if split_ratios[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    ticks = range(len(evaluation.genres))
    axes.set_xticks(ticks, evaluation.genres, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, evaluation.genres)
    axes.set(xlabel="the model's answer", ylabel="true genre", title=f"{evaluation.split} clips")
    return figure


def reliability_figure(evaluation: Evaluation) -> Figure:
    """Accuracy against confidence before and after temperature scaling, with the number of clips below."""
    calibration = evaluation.calibration
    figure = Figure(figsize=(7.4, 4.8), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1), squeeze=False)
    titles = ("before", f"at temperature {calibration.temperature:.2f}")
    for column, (title, found) in enumerate(zip(titles, (calibration.before, calibration.after), strict=True)):
        axes[0, column].set_xticks((0.0, 0.25, 0.5, 0.75, 1.0), ("0", "", "0.5", "", "1"))
        _draw_reliability(axes[0, column], axes[1, column], found)
        axes[0, column].set_title(f"{title}: error {found.expected_calibration_error:.1%}", fontsize=11)
    axes[0, 0].set_ylabel("share named right")
    axes[1, 0].set_ylabel("clips")
    axes[0, 0].legend(loc="upper left", fontsize=8)
    return figure


def _draw_reliability(above: Any, below: Any, found: Reliability) -> None:
    confidences, accuracies = [each.confidence for each in found.bins], [each.accuracy for each in found.bins]
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="as sure as right")
    above.vlines(confidences, confidences, accuracies, color=_ORANGE, linewidth=2, label="gap")
    above.plot(confidences, accuracies, "o-", color=_BLUE, label="clips of a bin")
    above.set(xlim=(0, 1), ylim=(0, 1.02))
    lows = [each.low for each in found.bins]
    widths = [each.high - each.low for each in found.bins]
    below.bar(lows, [each.clips for each in found.bins], widths, align="edge", color=_BLUE, edgecolor="white")
    below.set_xlabel("confidence")


def training_figure(run: Run) -> Figure | None:
    """Loss and accuracy of every epoch, or None where the run keeps no history of them."""
    rows = _history(run)
    if not rows or Checkpoint(run).exists():  # the history is then that of a training that is not done
        return None
    epochs = range(1, len(rows) + 1)
    figure = Figure(figsize=(7.4, 3.4), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, label, colour in ((quantity, "training", _BLUE), (f"val_{quantity}", "validation", _ORANGE)):
            axes.plot(epochs, [_number(row.get(column)) for row in rows], ".-", color=colour, label=label)
        for number, (before, row) in enumerate(pairwise([{}, *rows])):
            if before.get("phase") != row.get("phase"):
                axes.axvline(number + 0.5, color="grey", linestyle=":")
                place = axes.get_xaxis_transform()
                above = 1.01 if number == 0 else 1.06  # the head's few epochs leave no room beside its name
                axes.text(number + 0.5, above, f" {row['phase']}", transform=place, fontsize=8)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(fontsize=8)
    return figure


def examples_figure(dataset: Dataset, split: str) -> Figure:
    """A row of the split's pictures for each genre, of as many songs as there are."""
    shown = [_examples([clip for clip in dataset.of(split) if clip.genre == genre]) for genre in dataset.genres]
    width, height = max(map(len, shown)), len(shown)
    size = (1.2 + width * _EXAMPLE_INCHES, 0.3 + height * _EXAMPLE_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    cells = figure.subplots(height, width, squeeze=False)
    for row, clips in zip(cells, shown, strict=True):
        for cell, clip in zip(row, clips, strict=False):
            cell.imshow(dataset.images([clip])[0], aspect="auto")
    for cell in cells.flat:
        cell.set(xticks=[], yticks=[], frame_on=False)
    for cell, genre in zip(cells[:, 0], dataset.genres, strict=True):
        cell.set_ylabel(genre, rotation=0, ha="right", va="center")
    return figure


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
