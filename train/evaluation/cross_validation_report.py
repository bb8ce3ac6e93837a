"""``cross-validation.html``: a cross-validation as one self-contained page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.html import render
from train.evaluation.comparison import points
from train.evaluation.cross_validation import CrossValidation, MethodScores
from train.evaluation.metrics import Interval, percent
from train.evaluation.plots import confusion_figure, new_figure, write_figure
from train.run import SPLITS, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = tuple[object, ...]
"""The cells of a row of a table."""


def html_report(result: CrossValidation, run: Run) -> str:
    """Draw the plots of a cross-validation into its run, and render the report.

    Parameters
    ----------
    result : CrossValidation
    run : Run

    Returns
    -------
    document : str
        HTML without references to other files.
    """
    shown = result.methods[0]
    figures = {"confusion": lambda: confusion_figure(shown.scores), "folds": lambda: folds_figure(result)}
    plots = {name: run.plots / f"cross-validation-{name}.png" for name in figures}
    for name, draw in figures.items():
        write_figure(draw, plots[name])
    return render(
        "train",
        "cross-validation.html",
        title=f"{run.name}: cross-validation",
        result=result,
        shown=shown,
        plots={name: path.read_bytes() for name, path in plots.items()},
        methods=[_method_row(method) for method in result.methods],
        comparisons=[
            (
                f"{each.first} - {each.second}",
                points(each.clip_difference, each.clip_difference_ci),
                points(each.song_difference, each.song_difference_ci),
                each.better or "no significant difference",
            )
            for each in result.comparisons
        ],
        genres=_genre_rows(result),
        folds=_fold_rows(result),
        settings=[(name, str(value)) for name, value in result.settings.items()],
        percent=percent,
        interval=_interval,
    )


def folds_figure(result: CrossValidation) -> Figure:
    """Clip accuracy of each method on each fold, with 95 % confidence intervals."""
    figure = new_figure(2.0 + 1.1 * len(result.folds), 3.6)
    axes = figure.subplots()
    places = np.arange(len(result.folds), dtype=float)
    for number, method in enumerate(result.methods):
        middles = np.array([fold.clip_accuracy for fold in method.folds])
        lows, highs = np.array([fold.clip_accuracy_ci for fold in method.folds]).T
        shift = 0.15 * (number - (len(result.methods) - 1) / 2)
        # The interval of an accuracy near 0 or 1 lies beside it.
        errors = [np.maximum(middles - lows, 0.0), np.maximum(highs - middles, 0.0)]
        axes.errorbar(places + shift, middles, yerr=errors, fmt="o", capsize=3, label=method.name)
    axes.set_xticks(places, [fold.name for fold in result.folds])
    axes.set(ylabel="clip accuracy", ylim=(0.0, 1.02))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=9, loc="lower right")
    return figure


def _method_row(method: MethodScores) -> Row:
    scores = method.scores
    return (
        method.name,
        percent(scores.clip_accuracy),
        _interval(scores.clip_accuracy_ci),
        f"{scores.clip_macro_f1:.2f}",
        percent(scores.song_accuracy),
        _interval(scores.song_accuracy_ci),
        f"{scores.song_macro_f1:.2f}",
    )


def _genre_rows(result: CrossValidation) -> list[Row]:
    return [
        (
            genre,
            f"{result.methods[0].scores.per_genre_songs[genre]['songs']:.0f}",
            *(f"{method.scores.per_genre_songs[genre]['f1']:.2f}" for method in result.methods),
        )
        for genre in result.genres
    ]


def _fold_rows(result: CrossValidation) -> list[Row]:
    return [
        (
            fold.name,
            *(fold.songs[split] for split in SPLITS),
            *(
                f"{percent(method.folds[number].clip_accuracy)}"
                + (f" ({method.chosen[number]})" if method.chosen else "")
                for method in result.methods
            ),
        )
        for number, fold in enumerate(result.folds)
    ]


def _interval(ci: Interval) -> str:
    return f"{100 * ci[0]:.1f} to {100 * ci[1]:.1f}"
