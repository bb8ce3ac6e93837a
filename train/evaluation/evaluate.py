"""Evaluation of a run: predicts a split, calibrates, and writes ``evaluation.json``, plots, the report and the card."""

from __future__ import annotations

from collections.abc import Sequence
from logging import getLogger
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.classifier import with_temperature
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, check_writable
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Clip, Dataset
from train.dataset.inputs import Held, NetworkInputs
from train.evaluation.baselines import fit_baselines
from train.evaluation.calibration import Calibration, fit_temperature, reliability
from train.evaluation.comparison import TeacherComparison, compare_with_teacher
from train.evaluation.metrics import Predicted, compute_scores, rows_of_groups
from train.evaluation.plots import write_plots
from train.evaluation.rejection import choose_threshold, evaluate_threshold
from train.evaluation.report import html_report
from train.evaluation.results import Evaluation, most_confident_errors
from train.evaluation.robustness import evaluate_robustness
from train.evaluation.song_answers import choose_answer, compare_poolings
from train.libraries import load_keras_model, predict_in_batches
from train.progress import Reporter
from train.teachers import Teacher

_log = getLogger("tmgc.train")

_CHUNK = 256
"""Clips whose inputs are in memory at a time: 37 MB as images of 224 x 224."""


class Predictor:
    """The network of a run: windows of audio to probabilities, without temperature scaling.

    Parameters
    ----------
    dataset : Dataset
        Of a trained run.
    batch_size : int > 0

    Raises
    ------
    TmgcError
        The model cannot be read, or its input or output shape does not fit the dataset.
    """

    def __init__(self, dataset: Dataset, *, batch_size: int = 32) -> None:
        self._dataset, self._batch_size = dataset, batch_size
        self._inputs = NetworkInputs(dataset, dataset.run.card().input_kind)
        self._network = _load(dataset, self._inputs)

    def __call__(self, windows: Sequence[Samples]) -> NDArray[np.float32]:
        """Predict windows of audio.

        Parameters
        ----------
        windows : sequence of np.ndarray [shape=(window_samples,)], float32 in [-1, 1]

        Returns
        -------
        probabilities : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]

        Raises
        ------
        TmgcError
            The network returns NaN or infinity.
        """
        return self._predict(self._inputs.hold(windows))

    def predict_clips(self, clips: Sequence[Clip], reporter: Reporter) -> NDArray[np.float32]:
        """Predict clips: ``[shape=(n_clips, n_genres)], float32 in [0, 1]``. Each clip is a step of the reporter."""
        predictions = []
        for first in range(0, len(clips), _CHUNK):
            chunk = clips[first : first + _CHUNK]
            predictions.append(self._predict(self._inputs.hold_clips(chunk)))
            for _ in chunk:
                reporter.step({})
        return np.concatenate(predictions)

    def _predict(self, held: Held) -> NDArray[np.float32]:
        inputs = self._inputs.batch(held)
        probabilities = predict_in_batches(self._network, inputs, batch_size=self._batch_size)
        if not np.isfinite(probabilities).all():
            raise TmgcError(
                f"predictions must be finite: {self._dataset.run.model} returns NaN or infinity, so its training "
                "diverged. Run tmgc-train fit again, with a lower --learning-rate"
            )
        return probabilities


def evaluate(
    dataset: Dataset,
    split: str,
    *,
    batch_size: int = 32,
    robustness: bool = False,
    baseline: bool = False,
    teacher: Teacher | None = None,
    compare_with: Dataset | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate a run's model on one split; writes ``evaluation.json``, plots and ``report.html`` into the run.

    Temperature, threshold, pooling and smoothing are chosen on the validation split, whichever split is evaluated, and
    go into the card. The accuracy goes there from the test split only. The run is locked meanwhile.

    Parameters
    ----------
    dataset : Dataset
        Of a trained run.
    split : str
        ``train``, ``validation`` or ``test``.
    batch_size : int > 0
    robustness : bool
        Also evaluate on degraded audio.
    baseline : bool
        Also compare with MFCC statistics and an SVM.
    teacher : Teacher, optional
        Also compare with its outputs and a logistic regression; only with ``baseline``.
    compare_with : Dataset, optional
        Of another trained run with the same test songs, such as the teacher: the paired difference to it goes into the
        card, too, and stays there when the model is evaluated again without it.
    reporter : Reporter, optional

    Raises
    ------
    TmgcError
        The run cannot be written to, or another command is changing it; it has not been trained, or not on these
        clips; a split is empty; the network returns NaN or infinity; the other run
        has other test songs.
    """
    reporter = reporter or Reporter()
    check_writable(dataset.run.folder, dataset.run.plots)
    with dataset.run.lock():
        card = dataset.run.card()
        dataset.check_trained(card)
        refit = "refit_epochs" in card.training
        if refit and robustness and split == "validation":
            raise TmgcError(
                "robustness is measured on songs that the network was not trained on: after a refit it knows the "
                "validation songs. Use --split test"
            )
        predictor = Predictor(dataset, batch_size=batch_size)

        def predicted(name: str) -> Predicted:
            if refit and name == "validation":
                return _before_refit(dataset)
            return _predict(dataset, name, predictor, reporter)

        evaluated = predicted(split)
        validation = evaluated if split == "validation" else predicted("validation")
        fit = fit_temperature(validation.probabilities, validation.labels, rows_of_groups(validation.clips))
        scaled, chosen_on = evaluated.scaled(fit.temperature), validation.scaled(fit.temperature)

        def predict(windows: Sequence[Samples]) -> NDArray[np.float32]:
            return with_temperature(predictor(windows), fit.temperature)

        reporter.phase("evaluating rejection of out-of-distribution audio", 0)
        threshold = choose_threshold(chosen_on.probabilities, chosen_on.labels, dataset.spectrogram, predict)
        rejection = evaluate_threshold(threshold, scaled.probabilities, scaled.labels, dataset.spectrogram, predict)
        seconds = dataset.spectrogram.window_seconds
        choice = choose_answer(chosen_on, seconds, threshold=threshold)
        answers = compare_poolings(choice, scaled, seconds, threshold=threshold)
        scores = compute_scores(
            scaled.probabilities,
            scaled.clips,
            dataset.genres,
            split=split,
            pooling=choice.pooling,
            threshold=threshold,
            demonstration=dataset.demonstration,
        )
        result = Evaluation(
            **vars(scores),
            song_answers=answers,
            calibration=Calibration(
                fit=fit,
                before=reliability(evaluated.probabilities, evaluated.labels),
                after=reliability(scaled.probabilities, scaled.labels),
            ),
            rejection=rejection,
            misclassified=most_confident_errors(dataset, scaled.clips, scaled.probabilities),
            robustness=evaluate_robustness(dataset, scaled.clips, predictor, reporter) if robustness else (),
            baselines=fit_baselines(dataset, split, scaled.probabilities, reporter, teacher=teacher)
            if baseline
            else (),
            teacher=_compare(dataset, scaled, compare_with, reporter) if compare_with else None,
        )
        reporter.phase("writing the report", 0)
        _write(dataset, card, result)
    return result


def _load(dataset: Dataset, inputs: NetworkInputs) -> Any:
    path = dataset.run.model
    network = load_keras_model(path)
    expected = (None, *inputs.shape), (None, len(dataset.genres))
    found = tuple(network.input_shape), tuple(network.output_shape)
    if found != expected:
        raise TmgcError(
            f"a run's model takes {inputs.kind}s of shape {inputs.shape} and has {len(dataset.genres)} outputs: {path} "
            f"has shapes {found[0]} and {found[1]}. Run: tmgc-train fit"
        )
    return network


def _predict(dataset: Dataset, split: str, predictor: Predictor, reporter: Reporter) -> Predicted:
    clips = [clip for clip in dataset.of(split) if not clip.is_correction]  # these have no audio
    if not clips:
        raise TmgcError(
            f"an evaluation needs {split} clips, and validation clips to choose temperature and threshold: "
            f"{dataset.run.folder} has no {split} clips. Prepare more songs: tmgc-train prepare"
        )
    reporter.phase(f"predicting the {split} split", len(clips))
    return Predicted(clips, dataset.labels(clips), predictor.predict_clips(clips, reporter))


def _before_refit(dataset: Dataset) -> Predicted:
    """Predictions of the validation split, by the network that had not been trained on it."""
    clips, path = dataset.of("validation"), dataset.run.validation_probabilities
    try:
        probabilities = np.load(path)
        if probabilities.shape != (len(clips), len(dataset.genres)):
            raise ValueError(f"its shape is {probabilities.shape}")
    except (OSError, ValueError, EOFError) as error:
        raise TmgcError(
            f"after a refit the predictions of the validation clips are those in {path}, which cannot be used "
            f"({first_line(error)}). Run: tmgc-train fit {dataset.run.folder}"
        ) from error
    return Predicted(clips, dataset.labels(clips), probabilities)


def _compare(dataset: Dataset, evaluated: Predicted, other: Dataset, reporter: Reporter) -> TeacherComparison:
    card = other.run.card()
    other.check_trained(card)
    unheard = {(clip.content_sha256, clip.source): clip for clip in other.of("test")}
    same = [unheard.get((clip.content_sha256, clip.source)) for clip in evaluated.clips]
    if other.genres != dataset.genres or not all(same):
        raise TmgcError(
            f"runs are compared on the same genres and test songs: those of {other.run.folder} are others. Name the "
            "run that this one was distilled from"
        )
    reporter.phase(f"predicting with {other.run.name}", len(same))
    predicted = Predictor(other).predict_clips([clip for clip in same if clip], reporter)
    teacher = card.name, with_temperature(predicted, card.temperature)
    return compare_with_teacher(evaluated.clips, dataset.genres, evaluated.probabilities, teacher)


def _write(dataset: Dataset, before: ModelCard, result: Evaluation) -> None:
    """Figures first: they are kept if drawing the plots fails."""
    run, split = dataset.run, result.split
    with atomic_write(run.evaluation_json(split)) as path:
        path.write_text(result.to_json(), "utf-8")
    accuracy = {key: before.accuracy[key] for key in ("teacher",) if key in before.accuracy} | result.for_card()
    card = before.replace(
        temperature=result.calibration.fit.temperature,
        threshold=result.rejection.threshold,
        pooling=result.song_answers.choice.pooling,
        smoothing_seconds=result.song_answers.choice.smoothing_seconds,
        accuracy=accuracy if split == "test" else before.accuracy,
    )
    with atomic_write(run.card_json) as path:
        path.write_text(card.to_json(), "utf-8")
    if card.replace(accuracy=before.accuracy) != before and run.exports.is_dir() and any(run.exports.iterdir()):
        _log.warning(
            "the files in %s have the earlier temperature, threshold, pooling or smoothing: tmgc-export %s --force",
            run.exports,
            run.folder,
        )
    plots = write_plots(dataset, result)
    with atomic_write(run.report_html(split)) as path:
        path.write_text(html_report(result, dataset, card, plots), "utf-8", errors="replace")
