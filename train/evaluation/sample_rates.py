"""Comparison of sample rates: models of the same songs and split at several rates, with significance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from edge_runtime.errors import TmgcError
from train.dataset.dataset import Clip, Dataset
from train.evaluation.evaluate import Predictor
from train.evaluation.metrics import Interval, Scores, compute_scores, paired_difference, percent, with_ci
from train.evaluation.results import DEMONSTRATION
from train.progress import Reporter

RATES = (11_025, 22_050, 44_100)
"""Hz. At 11 025 Hz a frame lasts 46 ms and the mel bands end at 5.5 kHz; at 44 100 Hz 12 ms and 22 kHz.

The other spectrogram settings stay the same: frames of 512 samples, hops of 256, 64 mel bands, the size of the image.
So a lower rate not only lacks high frequencies: its images of 2 s are stretched from fewer frames, 87 instead of 345,
and resolve low frequencies better.
"""


@dataclass(frozen=True)
class RateScores:
    """Accuracy on the test split of the model of one sample rate."""

    sample_rate: int
    """Hz."""
    clip_accuracy: float
    """In [0, 1]."""
    clip_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""
    song_accuracy: float
    """In [0, 1]."""
    song_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""


@dataclass(frozen=True)
class RateDifference:
    """Difference in clip accuracy between the models of two sample rates."""

    higher: int
    """Hz."""
    lower: int
    """Hz."""
    difference: float
    """Clip accuracy at the higher rate minus that at the lower, in [-1, 1]."""
    ci: Interval
    """95 % CI of the paired bootstrap. It is not corrected for multiple comparisons: among three, chance finds a
    difference about once in eight times."""
    better: int | None
    """The significantly better rate, Hz; None where there is none."""


@dataclass(frozen=True)
class RateComparison:
    """Models of several sample rates on the same test clips."""

    demonstration: bool
    """On synthesised music: it says nothing about real music."""
    songs: int
    clips: int
    clips_left_out: int
    """Test clips that do not exist at every rate."""
    rates: tuple[RateScores, ...]
    """By rising rate."""
    differences: tuple[RateDifference, ...]
    """Of each pair of rates."""

    def to_json(self) -> str:
        """The comparison as it stands in ``compare-rates.json``."""
        return json.dumps({"schema": 2, **asdict(self)}, indent=1)

    def as_text(self) -> str:
        """The comparison for the terminal: a line for each rate and for each pair of rates."""
        lines = [f"{self.clips} clips of {self.songs} test songs, the same at every rate"]
        if self.clips_left_out:
            lines.append(f"  {self.clips_left_out} clips left out: they do not exist at every rate")
        lines += [
            f"  {rate.sample_rate:>6} Hz   clip accuracy {with_ci(rate.clip_accuracy, rate.clip_accuracy_ci)}"
            f"   song accuracy {percent(rate.song_accuracy)}"
            for rate in self.rates
        ]
        lines += [_difference_line(pair, self.songs) for pair in self.differences]
        lines.append("  one training for each rate: the variation between seeds is not part of the intervals")
        if self.demonstration:
            lines.append(f"  {DEMONSTRATION}")
        return "\n".join(lines)


def check_same_split(datasets: Sequence[Dataset]) -> None:
    """Check that the datasets of several rates have the same genres and split.

    Parameters
    ----------
    datasets : sequence of Dataset

    Raises
    ------
    TmgcError
        A clip is in different splits, or the genres differ.
    """
    first = datasets[0]
    split_of = {clip.source: clip.split for clip in first.clips}
    for other in datasets[1:]:
        moved = [clip.source for clip in other.clips if split_of.get(clip.source, clip.split) != clip.split]
        if moved or other.genres != first.genres:
            what = f"{len(moved)} clips, {moved[0]} for one, are in other splits" if moved else "the genres differ"
            raise TmgcError(
                f"sample rates are compared on the same split of the same songs: between {first.run.folder} and "
                f"{other.run.folder} {what}, so the songs have changed since. Name another RUN"
            )


def compare_rates(datasets: Sequence[Dataset]) -> RateComparison:
    """Evaluate the trained models of several sample rates on the test clips that all datasets contain.

    Parameters
    ----------
    datasets : sequence of Dataset
        Of trained runs, with the same split.

    Raises
    ------
    TmgcError
        The splits differ, or a model cannot be read.
    """
    check_same_split(datasets)
    tests = [{clip.source: clip for clip in dataset.of("test")} for dataset in datasets]
    shared = [name for name in tests[0] if all(name in test for test in tests)]
    predictions = {}
    for dataset, test in zip(datasets, tests, strict=True):
        predictions[dataset.spectrogram.sample_rate] = _probabilities(dataset, [test[name] for name in shared])
    return compare_predictions(
        predictions,
        [tests[0][name] for name in shared],
        datasets[0].genres,
        clips_left_out=len({name for test in tests for name in test}) - len(shared),
        demonstration=datasets[0].demonstration,
    )


def compare_predictions(
    predictions: dict[int, NDArray[np.float32]],
    clips: list[Clip],
    genres: tuple[str, ...],
    *,
    clips_left_out: int = 0,
    demonstration: bool = False,
) -> RateComparison:
    """Compare the predictions of several models for the same clips.

    Parameters
    ----------
    predictions : dict of np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        Probabilities, by sample rate in Hz.
    clips : list of Clip
    genres : tuple of str
        In the order of the probabilities' columns.
    clips_left_out : int
    demonstration : bool
    """
    labels = np.array([genres.index(clip.genre) for clip in clips])
    correct = {rate: predictions[rate].argmax(axis=1) == labels for rate in sorted(predictions)}
    scores = {rate: compute_scores(predictions[rate], clips, genres, split="test") for rate in correct}
    return RateComparison(
        demonstration=demonstration,
        songs=next(iter(scores.values())).songs,
        clips=len(clips),
        clips_left_out=clips_left_out,
        rates=tuple(_rate_scores(rate, found) for rate, found in scores.items()),
        differences=tuple(_difference(pair, correct, clips) for pair in combinations(correct, 2)),
    )


def _rate_scores(rate: int, scores: Scores) -> RateScores:
    return RateScores(
        rate, scores.clip_accuracy, scores.clip_accuracy_ci, scores.song_accuracy, scores.song_accuracy_ci
    )


def _difference(pair: tuple[int, int], correct: dict[int, NDArray[np.bool_]], clips: list[Clip]) -> RateDifference:
    lower, higher = pair
    found = paired_difference(correct[higher], correct[lower], clips)
    better = {1: higher, -1: lower, 0: None}[found.sign]
    return RateDifference(higher, lower, found.value, found.ci, better)


def _probabilities(dataset: Dataset, clips: list[Clip]) -> NDArray[np.float32]:
    card = dataset.run.card()
    dataset.check_trained(card)
    return with_temperature(Predictor(dataset).predict_clips(clips, Reporter()), card.temperature)


def _difference_line(pair: RateDifference, songs: int) -> str:
    verdict = f"{pair.better} Hz is better" if pair.better else f"no significant difference on {songs} songs"
    low, high = (100 * end for end in pair.ci)
    return (
        f"  {pair.higher} Hz - {pair.lower} Hz: {100 * pair.difference:+.1f} points of clip accuracy "
        f"(95 % CI {low:+.1f} to {high:+.1f}): {verdict}"
    )
