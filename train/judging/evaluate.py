"""Judges a run's model: scores, calibration, the threshold for ``unknown``, and the files that show them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.card import ModelCard
from edge_runtime.classifier import with_temperature
from edge_runtime.errors import TmgcError
from edge_runtime.files import written_whole
from edge_runtime.spectrogram import Spectrogram
from train.corpus import Clip, Corpus
from train.judging.baseline import fit_baseline
from train.judging.calibration import Calibration, fit_temperature, reliability
from train.judging.degrade import degrade as judge_degraded
from train.judging.evaluation import Evaluation
from train.judging.mistakes import worst_mistakes
from train.judging.plots import write_plots
from train.judging.prediction import Predictor
from train.judging.report import html_report
from train.judging.scores import judge
from train.judging.unknown import Unknown, judge_threshold, pick_threshold
from train.progress import Reporter


class _Heard(NamedTuple):
    """Clips of a split and what the network says of them."""

    clips: list[Clip]
    labels: NDArray[np.int64]
    """``[shape=(n_clips,)]``"""
    probabilities: NDArray[np.float32]
    """``[shape=(n_clips, n_genres)]``, before any temperature."""


def evaluate(
    corpus: Corpus,
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
    corpus : Corpus
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
    card = corpus.run.card()
    corpus.check_trained(card)
    predictor = Predictor(corpus, batch_size=batch_size)
    judged = _hear(corpus, split, predictor, reporter)
    validation = judged if split == "validation" else _hear(corpus, "validation", predictor, reporter)
    temperature = fit_temperature(validation.probabilities, validation.labels)
    probabilities = with_temperature(judged.probabilities, temperature)
    reporter.phase("judging on speech, noise, hum and silence", 0)
    result = Evaluation(
        **vars(judge(probabilities, judged.clips, corpus.genres, split=split, demonstration=corpus.demonstration)),
        calibration=Calibration(
            temperature=temperature,
            validation_clips=len(validation.clips),
            before=reliability(judged.probabilities, judged.labels),
            after=reliability(probabilities, judged.labels),
        ),
        unknown=_unknown(corpus, judged, validation, temperature, predictor),
        mistakes=worst_mistakes(corpus, judged.clips, probabilities),
        degraded=judge_degraded(corpus, judged.clips, predictor, reporter) if degrade else (),
        baseline=fit_baseline(corpus, split, probabilities, reporter) if baseline else None,
    )
    reporter.phase("drawing the report", 0)
    _write(corpus, card, result)
    return result


def _hear(corpus: Corpus, split: str, predictor: Predictor, reporter: Reporter) -> _Heard:
    clips = corpus.of(split)
    if not clips:
        raise TmgcError(
            f"judging needs {split} clips, the validation split for temperature and threshold: {corpus.run.folder} "
            "has none of them. Prepare more songs: tmgc-train prepare"
        )
    reporter.phase(f"judging on the {split} songs", len(clips))
    return _Heard(clips, corpus.labels(clips), predictor.of_clips(clips, reporter))


def _unknown(corpus: Corpus, judged: _Heard, validation: _Heard, temperature: float, predictor: Predictor) -> Unknown:
    def predict(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return with_temperature(predictor(pictures), temperature)

    spectrogram = Spectrogram(corpus.spectrogram, corpus.palette)
    chosen = with_temperature(validation.probabilities, temperature)
    threshold = pick_threshold(chosen, validation.labels, spectrogram, predict)
    return judge_threshold(
        threshold, with_temperature(judged.probabilities, temperature), judged.labels, spectrogram, predict
    )


def _write(corpus: Corpus, card: ModelCard, result: Evaluation) -> None:
    """Figures first, so that they are kept whatever becomes of the drawings."""
    run, split = corpus.run, result.split
    with written_whole(run.evaluation_json(split)) as path:
        path.write_text(result.to_json(), "utf-8")
    accuracy = result.for_card() if split == "test" else card.accuracy
    card = card.but(temperature=result.calibration.temperature, threshold=result.unknown.threshold, accuracy=accuracy)
    with written_whole(run.card_json) as path:
        path.write_text(card.to_json(), "utf-8")
    plots = write_plots(corpus, result)
    with written_whole(run.report_html(split)) as path:
        path.write_text(html_report(result, corpus, card, plots), "utf-8", errors="replace")
