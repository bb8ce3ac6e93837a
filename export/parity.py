"""Parity: how far the predictions of an exported file are from Keras', and which difference is tolerated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.interpreters import ModelInput, open_interpreter
from edge_runtime.model_card import ModelCard
from export.recipes import DYNAMIC, FLOAT16, FLOAT32, INT8
from train.dataset.dataset import Clip

Probabilities = NDArray[np.float32]
"""``[shape=(n, n_genres)], float32 in [0, 1]``"""


@dataclass(frozen=True)
class Tolerance:
    """What a recipe may change."""

    top1_agreement: float
    """Minimum share of windows with the same most probable genre, in [0, 1]."""
    probability_difference: float | None = None
    """Maximum absolute difference of a probability; ``None`` where quantisation makes it a poor measure of harm."""


TOLERANCES = {
    # The same arithmetic in another order of summation: rounding only, about 1e-6 in InceptionResNetV2.
    FLOAT32.name: Tolerance(top1_agreement=1.0, probability_difference=1e-4),
    # Weights keep 11 bits, an error of 5e-4 of each weight, which 245 layers partly average out.
    FLOAT16.name: Tolerance(top1_agreement=0.995, probability_difference=1e-2),
    # Weights keep 8 bits and activations 8 bits of their own range. On 149 held-out clips of real music a fine-tuned
    # network agreed in 99.3 %, and one that had not been fine-tuned in 90.6 %: 98 % tells the two apart.
    DYNAMIC.name: Tolerance(top1_agreement=0.98),
    # Activations keep 8 bits of a range that calibration fixed: 97.3 % against 9 % to 13 % on the same clips.
    INT8.name: Tolerance(top1_agreement=0.97),
}
"""By the recipe's name."""

WAVEFORM_PROBABILITY_DIFFERENCE = 1e-2
"""Maximum difference of a probability for files with waveform input. Their spectrogram is summed in another order than
the one that Keras received, so that about one pixel in 50 000 is rounded to the neighbouring value. That changed one of
720 windows of InceptionResNetV2 by 2.9e-3, with a mean divergence of 5e-8 nats."""

UNDECIDED_MARGIN = 0.05
"""Where Keras' two largest probabilities are closer than this, another genre is no disagreement."""

ACCURACY_LOSS = 0.01
"""Maximum loss of accuracy, whether or not the paired test can tell it from chance."""

SIGNIFICANCE = 0.05
"""A loss of accuracy with a p-value below this is a failure."""

PARITY_WINDOWS = 500
"""Minimum number of windows. With no disagreement in 500, less than 0.6 % disagree in truth (95 % confidence)."""

MAX_PARITY_WINDOWS = 1000
"""Maximum number of windows: beyond it the interval shrinks more slowly than the time grows."""

_WORST_CLIPS = 5
_Z95 = 1.959964
"""Half-width of a 95 % interval in standard deviations."""


def find_tolerance(recipe: str, input_kind: str) -> Tolerance:
    """The tolerance of a file.

    Parameters
    ----------
    recipe : str
        Name of the recipe.
    input_kind : str
        One of :data:`edge_runtime.input_kinds.INPUT_KINDS`.
    """
    tolerance = TOLERANCES[recipe]
    if input_kind == "image" or tolerance.probability_difference is None:
        return tolerance
    difference = max(tolerance.probability_difference, WAVEFORM_PROBABILITY_DIFFERENCE)
    return replace(tolerance, probability_difference=difference)


@dataclass(frozen=True)
class ParityInputs:
    """Windows of the songs of one split, as inputs of the network."""

    split: str
    hop_seconds: float
    images: NDArray[np.uint8]
    """``[shape=(n_windows, image_height, image_width, channels)]``"""
    labels: NDArray[np.int64] | None
    """Index of each window's genre, ``[shape=(n_windows,)]``; None where the songs are not of the model's genres."""
    clips: tuple[Clip, ...]
    """The clip of each window."""
    waveforms: NDArray[np.float32]
    """The samples of the windows, ``[shape=(n_windows, window_samples)], float32 in [-1, 1]``; ``n_windows`` is 0 where
    only images are compared."""

    @property
    def clip_count(self) -> int:
        """Number of different clips: windows of one clip overlap."""
        return len({clip.name for clip in self.clips})

    @property
    def song_count(self) -> int:
        """Number of different songs."""
        return len({clip.song for clip in self.clips})


@dataclass(frozen=True)
class PairedTest:
    """Accuracies of two models on the same windows, and the uncertainty of their difference."""

    accuracy_keras: float
    accuracy_file: float
    only_keras_correct: int
    only_file_correct: int
    p_value: float
    """Two-sided, of the sign-flip test over groups of songs: see :func:`exact_sign_flip_test`."""
    difference_low: float
    difference_high: float
    """95 % interval of ``accuracy_file - accuracy_keras``, from the variance between groups of songs."""

    @property
    def loss(self) -> float:
        """Accuracy that the file loses; negative where it gains."""
        return self.accuracy_keras - self.accuracy_file


def paired_test(keras_correct: NDArray[np.bool_], file_correct: NDArray[np.bool_], groups: Sequence[str]) -> PairedTest:
    """Compare the accuracies of two models on the same windows.

    Windows of one clip overlap, and songs of one artist are alike: the test and the interval take groups of songs as
    independent.

    Parameters
    ----------
    keras_correct, file_correct : np.ndarray [shape=(n,)], bool, n > 0
        Whether each prediction is correct.
    groups : sequence of str, n
        ``Clip.group`` of each window.
    """
    n = len(keras_correct)
    gained = file_correct.astype(np.int64) - keras_correct.astype(np.int64)
    _, group = np.unique(np.array(groups), return_inverse=True)
    by_group = np.bincount(group, weights=gained).astype(np.int64)
    # One more group that gains a window and one that loses one (Agresti and Min 2005), so that the interval keeps a
    # width where all agree.
    adjusted = np.concatenate([by_group, [1, -1]])
    half = _Z95 * sqrt(float(np.sum(adjusted**2)) - float(adjusted.sum()) ** 2 / len(adjusted)) / n
    return PairedTest(
        accuracy_keras=float(np.mean(keras_correct)),
        accuracy_file=float(np.mean(file_correct)),
        only_keras_correct=int(np.sum(gained < 0)),
        only_file_correct=int(np.sum(gained > 0)),
        p_value=exact_sign_flip_test(by_group),
        difference_low=max(-1.0, float(gained.mean()) - half),
        difference_high=min(1.0, float(gained.mean()) + half),
    )


def exact_sign_flip_test(differences: NDArray[np.int64]) -> float:
    """Two-sided p-value of a sum of differences under random signs.

    Fisher's randomisation test for pairs (1935), exact: the distribution of the sum is the convolution of the
    distributions of the differences. With differences of 1 and -1 only, it is the sign test.

    Parameters
    ----------
    differences : np.ndarray [shape=(n,)], int64
    """
    distribution = np.ones(1)
    for size in np.abs(differences[differences != 0]):
        minus, plus = np.pad(distribution, (0, 2 * size)), np.pad(distribution, (2 * size, 0))
        distribution = (minus + plus) / 2
    sums = np.arange(len(distribution)) - len(distribution) // 2
    return min(1.0, float(distribution[np.abs(sums) >= abs(int(differences.sum()))].sum()))


@dataclass(frozen=True)
class ParityReport:
    """One file compared with Keras on the same windows."""

    recipe: str
    input_kind: str
    split: str
    windows: int
    clips: int
    """Windows of one clip overlap: at most this many are independent."""
    songs: int
    hop_seconds: float
    max_probability_difference: float
    mean_kl_nats: float
    """Mean over the windows of the Kullback-Leibler divergence of the file's predictions from Keras'."""
    top1_agreement: float
    """Share of windows with the same most probable genre; windows in which Keras is undecided count as agreeing."""
    disagreements: int
    undecided_disagreements: int
    """Windows with another most probable genre in which Keras is undecided: reported, not counted."""
    accuracy: PairedTest | None
    """None without labels."""
    worst_clips: tuple[str, ...]
    card_differences: tuple[str, ...] = ()
    """Fields in which the card inside the file differs from the run's."""
    stress_inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Most probable genres of both and the largest difference, by stress input: reported, not counted."""
    runtime: str = ""
    """Name and version of the library that ran the file."""
    other_engines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """:meth:`summary` of the comparison with each other engine that runs the file, by name: reported, not counted."""

    @property
    def failures(self) -> list[str]:
        """Each tolerance that is exceeded, one line each."""
        tolerance = find_tolerance(self.recipe, self.input_kind)
        card = [f"the card inside the file has another {name}" for name in self.card_differences]
        return [*card, *self._prediction_failures(tolerance), *self._accuracy_failures()]

    @property
    def passed(self) -> bool:
        """Whether the file is within every tolerance."""
        return not self.failures

    @property
    def caveat(self) -> str | None:
        """What the comparison cannot show, where there were too few windows."""
        if self.windows >= PARITY_WINDOWS:
            return None
        percent = min(100.0, 300.0 / self.windows)  # the rule of three
        return (
            f"only {self.windows} windows ({self.clips} clips of {self.songs} songs) could be compared instead of "
            f"{PARITY_WINDOWS}: even with no disagreement among them, up to {percent:.1f} % of all windows may "
            "disagree (95 % confidence)"
        )

    def to_json(self) -> dict[str, Any]:
        """The report as in ``parity.json``."""
        document = {item.name: getattr(self, item.name) for item in fields(self)}
        document |= {"accuracy": self.accuracy and asdict(self.accuracy), "stress_inputs": dict(self.stress_inputs)}
        document["other_engines"] = dict(self.other_engines)
        return {"passed": self.passed, "failures": self.failures, "caveat": self.caveat, **document}

    def summary(self) -> dict[str, Any]:
        """The part of the report that the file's card holds."""
        document = self.to_json()
        names = (
            "passed",
            "failures",
            "split",
            "windows",
            "clips",
            "songs",
            "top1_agreement",
            "runtime",
            "other_engines",
        )
        differences = ("max_probability_difference", "mean_kl_nats")
        test = self.accuracy
        accuracy = test and {"keras": test.accuracy_keras, "file": test.accuracy_file}
        finite = {name: document[name] if isfinite(document[name]) else None for name in differences}  # JSON has no NaN
        return {name: document[name] for name in names} | finite | {"accuracy": accuracy}

    def _prediction_failures(self, tolerance: Tolerance) -> list[str]:
        failures = []
        if self.top1_agreement < tolerance.top1_agreement:
            failures.append(
                f"top-1 agreement with Keras is {self.top1_agreement * 100:.2f} %, at least "
                f"{tolerance.top1_agreement * 100:g} % is required"
            )
        limit = tolerance.probability_difference
        if limit is not None and not self.max_probability_difference <= limit:
            failures.append(f"a probability differs by {self.max_probability_difference:.4g}, {limit:g} is allowed")
        return failures

    def _accuracy_failures(self) -> list[str]:
        test, failures = self.accuracy, list[str]()
        if test is None:
            return failures
        lost = test.only_keras_correct - test.only_file_correct
        if lost > ACCURACY_LOSS * self.windows:  # counts, since a difference of two shares is rounded
            failures.append(f"the accuracy falls by {test.loss * 100:.1f} points, {ACCURACY_LOSS * 100:.0f} is allowed")
        if test.loss > 0 and test.p_value < SIGNIFICANCE:
            failures.append(f"the accuracy falls by more than chance explains (p = {test.p_value:.2g})")
        return failures


@dataclass(frozen=True)
class FilePredictions:
    """Predictions of an exported file, by the interpreter that the edge uses."""

    windows: Probabilities
    stress: Probabilities
    card_differences: tuple[str, ...]
    runtime: str
    """Name and version of the interpreter."""


def predict_file(
    file: Path,
    card: ModelCard,
    windows: Sequence[ModelInput],
    stress: Sequence[ModelInput],
    *,
    threads: int,
    engine: str | None = None,
) -> FilePredictions:
    """Run an exported file as the edge does, from the file alone.

    Parameters
    ----------
    file : Path
    card : ModelCard
        The run's. Its genres set the order of the columns, so that a file with swapped labels predicts other genres.
    windows, stress : sequence of np.ndarray
        Images or waveforms, as the file's card says.
    threads : int > 0
    engine : str, optional
        As for :func:`edge_runtime.interpreters.open_interpreter`.
    """
    interpreter = open_interpreter(file, threads=threads, engine=engine)
    differences = card_differences(card, interpreter.card)
    predictions = np.stack([interpreter.invoke(each) for each in (*windows, *stress)])
    if set(card.genres) == set(interpreter.card.genres):
        predictions = predictions[:, [interpreter.card.genres.index(genre) for genre in card.genres]]
    return FilePredictions(predictions[: len(windows)], predictions[len(windows) :], differences, interpreter.runtime)


def card_differences(run: ModelCard, file: ModelCard) -> tuple[str, ...]:
    """Names of the fields in which two cards differ and that change a prediction."""
    names = ("genres", "spectrogram", "colormap", "temperature", "threshold", "pooling", "smoothing_seconds")
    return tuple(name for name in names if getattr(run, name) != getattr(file, name))


def compare(
    recipe: str,
    inputs: ParityInputs,
    keras: Probabilities,
    file: Probabilities,
    *,
    input_kind: str = "image",
    card_differences: tuple[str, ...] = (),
    stress_inputs: Mapping[str, Mapping[str, Any]] | None = None,
    runtime: str = "",
) -> ParityReport:
    """Compare the predictions of a file with Keras'.

    Parameters
    ----------
    recipe : str
        Name of the recipe, which sets the tolerances.
    inputs : ParityInputs
    keras, file : np.ndarray [shape=(n_windows, n_genres)], float32 in [0, 1]
        Probabilities of the same windows. NaN in ``file`` counts as 0.
    input_kind : str
        Of the file: one of :data:`edge_runtime.input_kinds.INPUT_KINDS`.
    card_differences, stress_inputs
        Of :func:`card_differences` and :func:`compare_stress_inputs`, for the report.
    runtime : str
        Name and version of the library that ran the file, for the report.
    """
    file = np.nan_to_num(file, nan=0.0)
    differences = np.abs(keras - file).max(axis=1)
    others = keras.argmax(axis=1) != file.argmax(axis=1)
    two_largest = np.sort(keras, axis=1)[:, -2:]
    undecided = two_largest[:, 1] - two_largest[:, 0] < UNDECIDED_MARGIN
    counted = others & ~undecided
    return ParityReport(
        recipe=recipe,
        input_kind=input_kind,
        split=inputs.split,
        windows=len(keras),
        clips=inputs.clip_count,
        songs=inputs.song_count,
        hop_seconds=inputs.hop_seconds,
        max_probability_difference=float(differences.max()),
        mean_kl_nats=mean_kl(keras, file),
        top1_agreement=float(1.0 - counted.mean()),
        disagreements=int(counted.sum()),
        undecided_disagreements=int((others & undecided).sum()),
        accuracy=None if inputs.labels is None else _accuracies(inputs, inputs.labels, keras, file),
        worst_clips=_worst_clips(inputs, counted, differences),
        card_differences=card_differences,
        stress_inputs=stress_inputs or {},
        runtime=runtime,
    )


def _accuracies(
    inputs: ParityInputs, labels: NDArray[np.int64], keras: Probabilities, file: Probabilities
) -> PairedTest:
    groups = [clip.group for clip in inputs.clips]
    return paired_test(keras.argmax(axis=1) == labels, file.argmax(axis=1) == labels, groups)


def mean_kl(keras: Probabilities, file: Probabilities) -> float:
    """Mean Kullback-Leibler divergence of the file's predictions from Keras', in nats."""
    p, q = (np.maximum(each.astype(np.float64), 1e-12) for each in (keras, file))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    return float(np.mean(np.sum(p * np.log(p / q), axis=1)))


def compare_stress_inputs(
    names: Sequence[str], genres: Sequence[str], keras: Probabilities, file: Probabilities
) -> dict[str, dict[str, Any]]:
    """Predictions of both for each stress input."""
    return {
        name: {
            "keras": genres[int(expected.argmax())],
            "file": genres[int(found.argmax())],
            "max_probability_difference": float(np.abs(expected - found).max()),
        }
        for name, expected, found in zip(names, keras, file, strict=True)
    }


def _worst_clips(inputs: ParityInputs, counted: NDArray[np.bool_], differences: NDArray[np.float32]) -> tuple[str, ...]:
    """Clips by the difference of their worst window, those with a disagreement first."""
    order = np.lexsort((-differences, ~counted))
    return tuple(list(dict.fromkeys(inputs.clips[index].name for index in order))[:_WORST_CLIPS])
