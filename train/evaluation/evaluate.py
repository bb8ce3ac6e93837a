"""Judges a run's model: scores, calibration, the threshold for ``unknown``, and the files that show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram
from train.dataset.dataset import Clip, Dataset
from train.evaluation.baselines import fit_baseline
from train.evaluation.calibration import Calibration, fit_temperature, reliability
from train.evaluation.metrics import compute_scores
from train.evaluation.plots import write_plots
from train.evaluation.rejection import Unknown, evaluate_threshold, pick_threshold
from train.evaluation.report import html_report
from train.evaluation.results import Evaluation, worst_misclassified
from train.evaluation.robustness import degrade as judge_degraded
from train.libraries import load_keras_model
from train.progress import Reporter

_CLIPS_AT_ONCE = 256
"""Their pictures are in memory together: 37 MB at 224 x 224."""


class Predictor:
    """The network of a run: uint8 pictures to probabilities, before any temperature.

    Parameters
    ----------
    dataset : Dataset
        Of a trained run.
    batch_size : int > 0

    Raises
    ------
    TmgcError
        The model cannot be read, or was made for other pictures or genres.
    """

    def __init__(self, dataset: Dataset, *, batch_size: int = 32) -> None:
        self._corpus, self._batch_size = dataset, batch_size
        self._network = _load(dataset)

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of pictures.

        Parameters
        ----------
        pictures : np.ndarray [shape=(n, image_height, image_width, 3)], uint8

        Returns
        -------
        probabilities : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]

        Raises
        ------
        TmgcError
            The network answers with what is no number.
        """
        said = self._network.predict(pictures, batch_size=self._batch_size, verbose=0)
        probabilities = np.asarray(said, np.float32)
        if not np.isfinite(probabilities).all():
            raise TmgcError(
                f"a network's answers must be numbers: {self._corpus.run.model} gives others (NaN or infinity), so its "
                "training went astray. Run tmgc-train fit again, with a lower --learning-rate"
            )
        return probabilities

    def of_clips(self, clips: Sequence[Clip], reporter: Reporter) -> NDArray[np.float32]:
        """Probabilities of clips, ``[shape=(n_clips, n_genres)], float32 in [0, 1]``, by some hundreds at a time."""
        predictions = []
        for first in range(0, len(clips), _CLIPS_AT_ONCE):
            chunk = clips[first : first + _CLIPS_AT_ONCE]
            predictions.append(self(self._corpus.images(chunk)))
            for _ in chunk:
                reporter.step({})
        return np.concatenate(predictions)


def _load(dataset: Dataset) -> Any:
    path = dataset.run.model
    network = load_keras_model(path)
    settings = dataset.spectrogram
    wanted = (None, settings.image_height, settings.image_width, 3), (None, len(dataset.genres))
    found = tuple(network.input_shape), tuple(network.output_shape)
    if found != wanted:
        raise TmgcError(
            f"a run's model takes pictures of {wanted[0][1:]} and answers for {len(dataset.genres)} genres: {path} has "
            f"shapes {found[0]} and {found[1]}. Run: tmgc-train fit"
        )
    return network


class _Heard(NamedTuple):
    """Clips of a split and what the network says of them."""

    clips: list[Clip]
    labels: NDArray[np.int64]
    """``[shape=(n_clips,)]``"""
    probabilities: NDArray[np.float32]
    """``[shape=(n_clips, n_genres)]``, before any temperature."""


def evaluate(
    dataset: Dataset,
    split: str,
    *,
    batch_size: int = 32,
    degrade: bool = False,
    baseline: bool = False,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Judge a run's model on the clips of one split; writes ``evaluation.json``, plots and ``report.html``.

    Temperature and threshold are chosen on the validation split, whichever split is judged, and go into the card. The
    accuracy on the test split, and on no other, goes there too.

    Parameters
    ----------
    dataset : Dataset
        Of a trained run.
    split : str
        ``train``, ``validation`` or ``test``.
    batch_size : int > 0
    degrade : bool
        Judge it on sound of low quality as well.
    baseline : bool
        Hold it against MFCC statistics and an SVM.
    reporter : Reporter, optional

    Raises
    ------
    TmgcError
        The run has not been trained, or not on these clips; a split is empty; the network answers with no numbers.
    """
    reporter = reporter or Reporter()
    card = dataset.run.card()
    dataset.check_trained(card)
    predictor = Predictor(dataset, batch_size=batch_size)
    judged = _hear(dataset, split, predictor, reporter)
    validation = judged if split == "validation" else _hear(dataset, "validation", predictor, reporter)
    temperature = fit_temperature(validation.probabilities, validation.labels)
    probabilities = with_temperature(judged.probabilities, temperature)
    reporter.phase("judging on sound that is no music", 0)
    result = Evaluation(
        **vars(
            compute_scores(
                probabilities, judged.clips, dataset.genres, split=split, demonstration=dataset.demonstration
            )
        ),
        calibration=Calibration(
            temperature=temperature,
            validation_clips=len(validation.clips),
            before=reliability(judged.probabilities, judged.labels),
            after=reliability(probabilities, judged.labels),
        ),
        unknown=_unknown(dataset, judged, validation, temperature, predictor),
        misclassified=worst_misclassified(dataset, judged.clips, probabilities),
        degraded=judge_degraded(dataset, judged.clips, predictor, reporter) if degrade else (),
        baseline=fit_baseline(dataset, split, probabilities, reporter) if baseline else None,
    )
    reporter.phase("drawing the report", 0)
    _write(dataset, card, result)
    return result


def _hear(dataset: Dataset, split: str, predictor: Predictor, reporter: Reporter) -> _Heard:
    clips = dataset.of(split)
    if not clips:
        raise TmgcError(
            f"judging needs {split} clips, the validation split for temperature and threshold: {dataset.run.folder} "
            "has none of them. Prepare more songs: tmgc-train prepare"
        )
    reporter.phase(f"judging on the {split} songs", len(clips))
    return _Heard(clips, dataset.labels(clips), predictor.of_clips(clips, reporter))


def _unknown(dataset: Dataset, judged: _Heard, validation: _Heard, temperature: float, predictor: Predictor) -> Unknown:
    def predict(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return with_temperature(predictor(pictures), temperature)

    spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)
    chosen = with_temperature(validation.probabilities, temperature)
    threshold = pick_threshold(chosen, validation.labels, spectrogram, predict)
    return evaluate_threshold(
        threshold, with_temperature(judged.probabilities, temperature), judged.labels, spectrogram, predict
    )


def _write(dataset: Dataset, card: ModelCard, result: Evaluation) -> None:
    """Figures first, so that they are kept whatever becomes of the drawings."""
    run, split = dataset.run, result.split
    with atomic_write(run.evaluation_json(split)) as path:
        path.write_text(result.to_json(), "utf-8")
    accuracy = result.for_card() if split == "test" else card.accuracy
    card = card.replace(
        temperature=result.calibration.temperature, threshold=result.unknown.threshold, accuracy=accuracy
    )
    with atomic_write(run.card_json) as path:
        path.write_text(card.to_json(), "utf-8")
    plots = write_plots(dataset, result)
    with atomic_write(run.report_html(split)) as path:
        path.write_text(html_report(result, dataset, card, plots), "utf-8", errors="replace")
