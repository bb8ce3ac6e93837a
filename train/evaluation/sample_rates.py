"""Whether a higher sample rate makes a better model: runs of the same songs at several rates, side by side."""

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
from train.evaluation.metrics import compute_scores, paired_difference
from train.evaluation.results import DEMONSTRATION
from train.progress import Reporter

RATES = (11_025, 22_050, 44_100)
"""Hz. Of a picture at 11 025 Hz a frame lasts 46 ms and a mel band ends at 5.5 kHz at most; at 44 100 Hz 12 ms, 22 kHz.

Frames keep their 512 samples and 256 from one to the next, and a picture its 64 bands and its size. So a lower rate is
not only duller: its pictures of 2 s are stretched from fewer frames, 87 instead of 345, and resolve low notes better.
"""


@dataclass(frozen=True)
class AtRate:
    """Accuracy on the test songs of the model of one rate."""

    sample_rate: int
    """Hz."""
    clip_accuracy: float
    """Share of clips that were named right, in [0, 1]."""
    clip_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs."""
    song_accuracy: float
    """Share of songs that were named right, in [0, 1]."""
    song_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs."""


@dataclass(frozen=True)
class RateDifference:
    """How much better the model of a higher rate is than that of a lower one."""

    higher: int
    """Hz."""
    lower: int
    """Hz."""
    difference: float
    """Clip accuracy at the higher rate less that at the lower."""
    interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs, both judged on the same. It stands for one comparison:
    among three, chance may find a difference once in eight times."""
    better: int | None
    """The rate that is really the better one, Hz; None where nobody can tell."""


@dataclass(frozen=True)
class RateComparison:
    """Models of several rates on the same test clips."""

    demonstration: bool
    """On synthesised music: it says nothing about real music."""
    songs: int
    clips: int
    clips_left_out: int
    """Test clips that could not be had at every rate."""
    rates: tuple[AtRate, ...]
    """From the lowest to the highest."""
    differences: tuple[RateDifference, ...]
    """Of each two rates."""

    def to_json(self) -> str:
        """The comparison as it stands in ``compare-rates.json``."""
        return json.dumps({"schema": 1, **asdict(self)}, indent=1)

    def as_text(self) -> str:
        """The comparison for a person to read: a line a rate, a line for each two of them, and what follows."""
        lines = [f"{self.clips} clips of {self.songs} test songs, the same at every rate; 95 % intervals"]
        if self.clips_left_out:
            lines.append(f"  {self.clips_left_out} other clips could not be had at every rate")
        lines += [
            f"  {rate.sample_rate:>6} Hz   clips named right {_range(rate.clip_accuracy, rate.clip_interval)}"
            f"   songs {_range(rate.song_accuracy, rate.song_interval)}"
            for rate in self.rates
        ]
        lines += [
            f"  {pair.higher} Hz against {pair.lower} Hz: {100 * pair.difference:+.1f} points of clips "
            f"({100 * pair.interval[0]:+.1f} to {100 * pair.interval[1]:+.1f}): {_verdict(pair, self.songs)}"
            for pair in self.differences
        ]
        lines.append("  one training at each rate: what another seed would change is in none of these intervals")
        if self.demonstration:
            lines.append(f"  {DEMONSTRATION}")
        return "\n".join(lines)


def check_same_split(corpora: Sequence[Dataset]) -> None:
    """Hold the corpora of several rates against each other.

    Parameters
    ----------
    corpora : sequence of Dataset

    Raises
    ------
    TmgcError
        A clip that is on one split at one rate is on another at another, or the genres differ.
    """
    first = corpora[0]
    split_of = {clip.source: clip.split for clip in first.clips}
    for other in corpora[1:]:
        moved = [clip.source for clip in other.clips if split_of.get(clip.source, clip.split) != clip.split]
        if moved or other.genres != first.genres:
            what = f"{len(moved)} clips, {moved[0]} for one, are on other splits" if moved else "the genres differ"
            raise TmgcError(
                f"rates are compared on the same split of the same songs: between {first.run.folder} and "
                f"{other.run.folder} {what}, so the songs have changed since. Name another RUN"
            )


def compare_rates(corpora: Sequence[Dataset]) -> RateComparison:
    """Judge the trained models of several rates on the test clips that they have in common.

    Parameters
    ----------
    corpora : sequence of Dataset
        Of trained runs, on the same split.

    Raises
    ------
    TmgcError
        The splits differ, or a model cannot be read.
    """
    check_same_split(corpora)
    tests = [{clip.source: clip for clip in dataset.of("test")} for dataset in corpora]
    shared = [name for name in tests[0] if all(name in test for test in tests)]
    predictions = {}
    for dataset, test in zip(corpora, tests, strict=True):
        predictions[dataset.spectrogram.sample_rate] = _probabilities(dataset, [test[name] for name in shared])
    return compare_answers(
        predictions,
        [tests[0][name] for name in shared],
        corpora[0].genres,
        clips_left_out=len({name for test in tests for name in test}) - len(shared),
        demonstration=corpora[0].demonstration,
    )


def compare_answers(
    predictions: dict[int, NDArray[np.float32]],
    clips: list[Clip],
    genres: tuple[str, ...],
    *,
    clips_left_out: int = 0,
    demonstration: bool = False,
) -> RateComparison:
    """Hold what the models of several rates say of the same clips against the truth and against each other.

    Parameters
    ----------
    answers : dict of np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        Probabilities, by sample rate in Hz.
    clips : list of Clip
    genres : tuple of str
        In the order of the probabilities' columns.
    clips_left_out : int
    demonstration : bool
    """
    truth = np.array([genres.index(clip.genre) for clip in clips])
    judged = {rate: compute_scores(predictions[rate], clips, genres, split="test") for rate in sorted(predictions)}
    right = {rate: predictions[rate].argmax(axis=1) == truth for rate in judged}
    differences = []
    for lower, higher in combinations(judged, 2):
        found = paired_difference(right[higher], right[lower], clips)
        better = {1: higher, -1: lower, 0: None}[found.sign]
        differences.append(RateDifference(higher, lower, found.value, found.interval, better))
    return RateComparison(
        demonstration=demonstration,
        songs=next(iter(judged.values())).songs,
        clips=len(clips),
        clips_left_out=clips_left_out,
        rates=tuple(
            AtRate(rate, scores.clip_accuracy, scores.clip_interval, scores.song_accuracy, scores.song_interval)
            for rate, scores in judged.items()
        ),
        differences=tuple(differences),
    )


def _probabilities(dataset: Dataset, clips: list[Clip]) -> NDArray[np.float32]:
    card = dataset.run.card()
    dataset.check_trained(card)
    return with_temperature(Predictor(dataset).of_clips(clips, Reporter()), card.temperature)


def _range(share: float, interval: tuple[float, float]) -> str:
    return f"{share:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


def _verdict(pair: RateDifference, songs: int) -> str:
    return f"{pair.better} Hz is better" if pair.better else f"no difference can be told from {songs} songs"
