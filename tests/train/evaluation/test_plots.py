"""Plots are drawn of what there is, whatever it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from tests.conftest import tone
from train.dataset.dataset import Dataset
from train.evaluation.metrics import percent
from train.evaluation.plots import (
    confusion_figure,
    examples_figure,
    mel_positions,
    reliability_figure,
    song_answers_figure,
    spectrograms_figure,
    training_figure,
    write_plots,
)
from train.evaluation.results import Evaluation
from train.run import PLOTS

Evaluated = tuple[Dataset, Evaluation, Sequence[str]]


def heights(axes: Any, line: int) -> NDArray[np.float64]:
    """What a line shows, ``[shape=(n_points,)]``."""
    return np.array(axes.lines[line].get_ydata(), np.float64)


def test_every_plot_is_an_image_that_is_not_blank(evaluated: Evaluated) -> None:
    dataset, _, _ = evaluated
    for name in PLOTS:
        with Image.open(dataset.run.plot(name, "test")) as image:
            assert image.format == "PNG"
            assert min(image.size) > 200
            assert np.asarray(image.convert("L")).std() > 5, name


def test_the_confusion_matrix_names_all_genres_and_counts(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    (axes,) = confusion_figure(result).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(result.genres)
    assert sum(int(text.get_text()) for text in axes.texts) == result.clips


def test_the_song_accuracy_is_drawn_by_seconds_unless_songs_have_one_clip(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    figure = song_answers_figure(result)
    assert figure is not None
    (axes,) = figure.axes
    np.testing.assert_allclose(
        heights(axes, 0), [point.accuracy for point in result.song_answers.curves["mean"]], err_msg="mean"
    )
    first = {name: curve[:1] for name, curve in result.song_answers.curves.items()}
    assert song_answers_figure(replace(result, song_answers=replace(result.song_answers, curves=first))) is None


def test_reliability_is_drawn_before_and_after(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    before, after, *_ = reliability_figure(result).axes
    for axes, found in ((before, result.calibration.before), (after, result.calibration.after)):
        assert f"ECE {percent(found.expected_calibration_error)}" in axes.get_title()
        np.testing.assert_allclose(heights(axes, 1), [each.accuracy for each in found.bins])


def test_training_curves_may_have_further_columns_and_gaps(evaluated: Evaluated) -> None:
    dataset, _, _ = evaluated
    figure = training_figure(dataset.run)
    assert figure is not None
    loss, accuracy = figure.axes
    np.testing.assert_allclose(heights(loss, 1), [2.2, 1.9, np.nan])
    np.testing.assert_allclose(heights(accuracy, 0), [0.3, 0.5, 0.7])
    assert [text.get_text().strip() for text in loss.texts] == ["head", "fine-tuning"]


@pytest.mark.parametrize("history", [None, "", "phase,epoch\n", "nonsense\n\x00,\n"])
def test_without_a_history_there_are_no_curves_and_the_others_are_drawn(
    history: str | None, evaluated: Evaluated, copy_of: Callable[[Dataset], Dataset]
) -> None:
    dataset, result, _ = evaluated
    copy = copy_of(dataset)
    copy.run.history_csv.unlink()
    if history is not None:
        copy.run.history_csv.write_text(history, "utf-8")
    assert {"confusion", "reliability", "examples"} <= set(write_plots(copy, result))


def test_examples_show_one_clip_of_each_song_first(evaluated: Evaluated) -> None:
    dataset, _, _ = evaluated
    (axes,) = examples_figure(dataset, "test").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(dataset.genres)
    mosaic = np.asarray(axes.images[0].get_array())
    of_genre = [clip for clip in dataset.of("test") if clip.genre == dataset.genres[0]]
    other_song = next(clip for clip in of_genre if clip.song != of_genre[0].song)
    height, width = (size + 2 for size in dataset.images(of_genre[:1]).shape[1:3])
    for column, clip in enumerate((of_genre[0], other_song)):
        cell = mosaic[1 : height - 1, column * width + 1 : (column + 1) * width - 1]
        np.testing.assert_array_equal(cell, dataset.images([clip])[0])
        assert (mosaic[0] == 255).all(), "a gap"


def test_images_of_one_channel_are_shown_in_gray(evaluated: Evaluated) -> None:
    dataset, _, _ = evaluated
    gray = replace(dataset, colormap=np.arange(256, dtype=np.uint8)[:, None])
    for figure in (examples_figure(gray, "test"), spectrograms_figure(gray, gray.of("test"))):
        shown = np.asarray(figure.axes[0].images[0].get_array())
        assert shown.shape[2] == 3
        assert (shown == shown[..., :1]).all()


def test_a_genre_may_be_called_anything(evaluated: Evaluated, copy_of: Callable[[Dataset], Dataset]) -> None:
    dataset, result, _ = evaluated
    genres = ("R&B $x_{$", "音楽", *result.genres[2:])
    assert "confusion" in write_plots(copy_of(dataset), replace(result, genres=genres))


def test_an_unscaled_model_has_one_reliability_diagram(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    calibration = result.calibration
    unscaled = replace(calibration, fit=replace(calibration.fit, temperature=1.0), after=calibration.before)
    upper, lower = reliability_figure(replace(result, calibration=unscaled)).axes
    assert upper.get_title().startswith("unscaled")
    assert lower.get_xlabel() == "confidence"


def test_spectrograms_show_each_genre_once_with_time_and_frequency(evaluated: Evaluated) -> None:
    dataset, _, _ = evaluated
    clips = dataset.of("test")
    panels = spectrograms_figure(dataset, clips).axes
    assert [panel.get_title() for panel in panels] == list(dataset.genres)
    for panel in panels:
        assert panel.images[0].get_extent()[1] == dataset.spectrogram.window_seconds
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["0.5", "1", "2", "4"]
    only = [clip for clip in clips if clip.genre == dataset.genres[3]]
    assert [panel.get_title() for panel in spectrograms_figure(dataset, only).axes] == [dataset.genres[3]]


@pytest.mark.parametrize("hz", [500.0, 2000.0])
def test_a_tone_is_at_its_mel_frequency_in_the_image(hz: float) -> None:
    settings = SpectrogramSettings(sample_rate=22_050)
    samples = tone(settings.window_seconds, sample_rate=22_050, hz=hz)
    rows = Spectrogram(settings, np.zeros((256, 3), np.uint8)).index_image(samples).astype(float).sum(axis=1)
    (position,) = mel_positions([hz], settings)
    assert 1 - (rows.argmax() + 0.5) / len(rows) == pytest.approx(position, abs=0.02)
