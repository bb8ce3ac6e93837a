"""How far an exported file's answers are from Keras', and whether that is near enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.interpreters import ModelInput, open_interpreter
from edge_runtime.model_card import ModelCard
from export.recipes import ACCURACY_LOSS, PARITY_WINDOWS, SIGNIFICANCE, UNDECIDED_MARGIN, Tolerance, tolerance_of
from train.dataset.dataset import Clip

_Z95 = 1.959964
"""Half-width of a 95 % interval in standard deviations."""


@dataclass(frozen=True)
class ParityInputs:
    """Windows of one split's songs as the network sees them."""

    split: str
    hop_seconds: float
    pictures: NDArray[np.uint8]
    """``[shape=(n_windows, image_height, image_width, 3)]``"""
    labels: NDArray[np.int64]
    """Index of each window's genre, ``[shape=(n_windows,)]``."""
    clips: tuple[Clip, ...]
    """The clip that each window comes from."""
    sounds: NDArray[np.float32]
    """The windows before they are drawn, ``[shape=(n_windows, window_samples)], float32 in [-1, 1]``; of none of them
    where nobody asked for it."""

    @property
    def clip_count(self) -> int:
        """Different clips: windows of one clip overlap."""
        return len({clip.name for clip in self.clips})

    @property
    def song_count(self) -> int:
        """Different songs."""
        return len({clip.song for clip in self.clips})


@dataclass(frozen=True)
class PairedTest:
    """Accuracies of two models on the same windows, and how sure their difference is."""

    accuracy_keras: float
    accuracy_file: float
    only_keras_right: int
    only_file_right: int
    p_value: float
    """How often chance alone gives a difference at least this large, had a coin said for each group of songs
    which of the two gets its windows right."""
    difference_low: float
    difference_high: float
    """95 % interval of ``accuracy_file - accuracy_keras``, from the spread between groups of songs."""

    @property
    def loss(self) -> float:
        """How much accuracy the file loses; negative where it gains."""
        return self.accuracy_keras - self.accuracy_file


def paired_test(keras_right: NDArray[np.bool_], file_right: NDArray[np.bool_], groups: Sequence[str]) -> PairedTest:
    """Compare two models that answered the same questions.

    Windows of one clip overlap, and songs of one artist are alike: a group of songs is what counts as independent, in
    the test and in the interval.

    Parameters
    ----------
    keras_right, file_right : np.ndarray [shape=(n,)], bool, n > 0
        Which answers are right.
    groups : sequence of str, n
        What the split keeps whole: ``Clip.group`` of each window.
    """
    n = len(keras_right)
    gained = file_right.astype(np.int64) - keras_right.astype(np.int64)
    _, group = np.unique(np.array(groups), return_inverse=True)
    by_group = np.bincount(group, weights=gained).astype(np.int64)
    # One more group that gains a window and one that loses one, as Agresti and Min do: no certainty where all agree.
    spread = np.concatenate([by_group, [1, -1]])
    half = _Z95 * sqrt(float(np.sum(spread**2)) - float(spread.sum()) ** 2 / len(spread)) / n
    return PairedTest(
        accuracy_keras=float(np.mean(keras_right)),
        accuracy_file=float(np.mean(file_right)),
        only_keras_right=int(np.sum(gained < 0)),
        only_file_right=int(np.sum(gained > 0)),
        p_value=exact_sign_flip_test(by_group),
        difference_low=max(-1.0, float(gained.mean()) - half),
        difference_high=min(1.0, float(gained.mean()) + half),
    )


def exact_sign_flip_test(differences: NDArray[np.int64]) -> float:
    """Two-sided probability of a sum at least as far from 0, had each difference's sign been tossed with a fair coin.

    Fisher's randomisation test for pairs (1935), exact: the distribution of the sum is built difference by difference.
    With differences of 1 and -1 alone it is the sign test.

    Parameters
    ----------
    differences : np.ndarray [shape=(n,)], int64
    """
    chances = np.ones(1)
    for size in np.abs(differences[differences != 0]):
        lower, upper = np.pad(chances, (0, 2 * size)), np.pad(chances, (2 * size, 0))
        chances = (lower + upper) / 2
    sums = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[np.abs(sums) >= abs(int(differences.sum()))].sum()))


Probabilities = NDArray[np.float32]
"""``[shape=(n, n_genres)], float32 in [0, 1]``"""

WORST_CLIPS = 5
"""Clips that are named where a tolerance is missed."""


@dataclass(frozen=True)
class ParityReport:
    """One file against Keras on the same pictures."""

    recipe: str
    input_kind: str
    """``picture`` or ``waveform``: what the file was given."""
    split: str
    windows: int
    clips: int
    """Windows of one clip overlap, so this many sounds are independent at most, and songs more surely so."""
    songs: int
    hop_seconds: float
    max_probability_difference: float
    mean_kl_nats: float
    """Kullback-Leibler divergence of the file's answers from Keras', mean over the windows."""
    top1_agreement: float
    """Share of the windows with the same best genre; where Keras is undecided, any answer counts as the same."""
    disagreements: int
    undecided_disagreements: int
    """Windows of another best genre where Keras' own two best lie within 0.05: reported, not counted."""
    accuracy: PairedTest
    worst_clips: tuple[str, ...]
    card_differences: tuple[str, ...] = ()
    """What the card inside the file promises differently from the run's."""
    hard_pictures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Best genres of both and the largest difference, for each of the hard pictures: reported, not counted."""

    @property
    def misses(self) -> list[str]:
        """Each tolerance that is missed, one line each."""
        tolerance = tolerance_of(self.recipe, self.input_kind)
        return [*self._card_misses(), *self._answer_misses(tolerance), *self._accuracy_misses()]

    @property
    def held(self) -> bool:
        """Whether every tolerance is kept."""
        return not self.misses

    @property
    def caveat(self) -> str | None:
        """How little the comparison proves, where there were too few windows."""
        if self.windows >= PARITY_WINDOWS:
            return None
        return (
            f"only {self.windows} windows ({self.clips} clips of {self.songs} songs) could be compared instead of "
            f"{PARITY_WINDOWS}: even without a disagreement among them, up to {min(1.0, 3 / self.windows):.1%} of all "
            "windows may be answered differently (95 % confidence)"
        )

    def to_json(self) -> dict[str, Any]:
        """The report as it stands in ``parity.json``."""
        document = {item.name: getattr(self, item.name) for item in fields(self)}
        accuracy = {item.name: getattr(self.accuracy, item.name) for item in fields(self.accuracy)}
        document |= {"accuracy": accuracy, "hard_pictures": dict(self.hard_pictures)}
        return {"held": self.held, "misses": self.misses, "caveat": self.caveat, **document}

    def summary(self) -> dict[str, Any]:
        """What of the report stands in the file's card."""
        kept = ("held", "misses", "split", "windows", "clips", "songs", "top1_agreement", "max_probability_difference")
        document = self.to_json()
        accuracy = {"keras": self.accuracy.accuracy_keras, "file": self.accuracy.accuracy_file}
        return {name: document[name] for name in (*kept, "mean_kl_nats")} | {"accuracy": accuracy}

    def _card_misses(self) -> list[str]:
        return [f"the card inside the file promises another {what}" for what in self.card_differences]

    def _answer_misses(self, tolerance: Tolerance) -> list[str]:
        misses = []
        if self.top1_agreement < tolerance.top1_agreement:
            misses.append(
                f"{self.top1_agreement:.2%} of the windows have Keras' best genre, {tolerance.top1_agreement:.2%} must"
            )
        most = tolerance.probability_difference
        if most is not None and not self.max_probability_difference <= most:
            misses.append(f"a probability differs by {self.max_probability_difference:.4g}, {most:g} is allowed")
        return misses

    def _accuracy_misses(self) -> list[str]:
        test = self.accuracy
        misses = []
        lost = test.only_keras_right - test.only_file_right
        if lost > ACCURACY_LOSS * self.windows:  # counted, since the difference of two shares is rounded
            misses.append(f"the accuracy falls by {test.loss * 100:.1f} points, {ACCURACY_LOSS * 100:.0f} is allowed")
        if test.loss > 0 and test.p_value < SIGNIFICANCE:
            misses.append(f"the accuracy falls by more than chance explains (p = {test.p_value:.2g})")
        return misses


@dataclass(frozen=True)
class FileAnswers:
    """What an exported file said, in the interpreter that the edge would run it with."""

    windows: Probabilities
    hard: Probabilities
    card_differences: tuple[str, ...]


def answers_of(
    file: Path, card: ModelCard, windows: Sequence[ModelInput], hard: Sequence[ModelInput], *, threads: int
) -> FileAnswers:
    """Run an exported file as the edge would, from the file alone.

    Parameters
    ----------
    file : Path
    card : ModelCard
        The run's, whose genres give the columns their order: a file that calls its outputs otherwise answers otherwise.
    windows, hard : sequence of np.ndarray
        Pictures or waveforms, whichever the file takes.
    threads : int > 0
    """
    interpreter = open_interpreter(file, threads=threads)
    differences = card_differences(card, interpreter.card)
    said = np.stack([interpreter.invoke(taken) for taken in (*windows, *hard)])
    if set(card.genres) == set(interpreter.card.genres):
        said = said[:, [interpreter.card.genres.index(genre) for genre in card.genres]]
    return FileAnswers(said[: len(windows)], said[len(windows) :], differences)


def card_differences(run: ModelCard, file: ModelCard) -> tuple[str, ...]:
    """Names of what a file's card says otherwise than the run's and that would change an answer."""
    names = ("genres", "spectrogram", "colormap", "temperature", "threshold")
    return tuple(name for name in names if getattr(run, name) != getattr(file, name))


def compare(
    recipe: str,
    shown: ParityInputs,
    keras: Probabilities,
    file: Probabilities,
    *,
    input_kind: str = "image",
    card_differences: tuple[str, ...] = (),
    hard_pictures: Mapping[str, Mapping[str, Any]] | None = None,
) -> ParityReport:
    """Hold the answers of a file against Keras'.

    Parameters
    ----------
    recipe : str
        Name of the recipe, whose tolerances count.
    shown : ParityInputs
    keras, file : np.ndarray [shape=(n_windows, n_genres)], float32 in [0, 1]
        Probabilities of the same windows. Where the file's are not numbers they count as zero.
    takes : str
        ``picture`` or ``waveform``: what the file was given.
    card_differences, hard_pictures
        Of :func:`card_differences` and :func:`hard_answers`, for the report.
    """
    file = np.nan_to_num(file, nan=0.0)
    differences = np.abs(keras - file).max(axis=1)
    others = keras.argmax(axis=1) != file.argmax(axis=1)
    two_best = np.sort(keras, axis=1)[:, -2:]
    undecided = two_best[:, 1] - two_best[:, 0] < UNDECIDED_MARGIN
    counted = others & ~undecided
    return ParityReport(
        recipe=recipe,
        input_kind=input_kind,
        split=shown.split,
        windows=len(keras),
        clips=shown.clip_count,
        songs=shown.song_count,
        hop_seconds=shown.hop_seconds,
        max_probability_difference=float(differences.max()),
        mean_kl_nats=mean_kl(keras, file),
        top1_agreement=float(1.0 - counted.mean()),
        disagreements=int(counted.sum()),
        undecided_disagreements=int((others & undecided).sum()),
        accuracy=paired_test(
            keras.argmax(axis=1) == shown.labels,
            file.argmax(axis=1) == shown.labels,
            [clip.group for clip in shown.clips],
        ),
        worst_clips=_worst(shown, counted, differences),
        card_differences=card_differences,
        hard_pictures=hard_pictures or {},
    )


def mean_kl(keras: Probabilities, file: Probabilities) -> float:
    """Mean Kullback-Leibler divergence in nats: what is lost by believing the file where Keras is right."""
    p, q = (np.maximum(each.astype(np.float64), 1e-12) for each in (keras, file))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    return float(np.mean(np.sum(p * np.log(p / q), axis=1)))


def hard_answers(
    names: Sequence[str], genres: Sequence[str], keras: Probabilities, file: Probabilities
) -> dict[str, dict[str, Any]]:
    """What both say of each hard picture."""
    return {
        name: {
            "keras": genres[int(expected.argmax())],
            "file": genres[int(said.argmax())],
            "max_probability_difference": float(np.abs(expected - said).max()),
        }
        for name, expected, said in zip(names, keras, file, strict=True)
    }


def _worst(shown: ParityInputs, counted: NDArray[np.bool_], differences: NDArray[np.float32]) -> tuple[str, ...]:
    """Clips by how far their worst window is off, those with another best genre first."""
    order = np.lexsort((-differences, ~counted))
    return tuple(list(dict.fromkeys(shown.clips[index].name for index in order))[:WORST_CLIPS])
