"""How far an exported file's answers are from Keras', and whether that is near enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.card import ModelCard
from edge_runtime.interpreters import ModelInput, open_interpreter
from export.paired import PairedTest, paired_test
from export.pictures import ParityPictures
from export.tolerances import ACCURACY_LOSS, PARITY_WINDOWS, SIGNIFICANCE, UNDECIDED_MARGIN, Tolerance, tolerance_of

Probabilities = NDArray[np.float32]
"""``[shape=(n, n_genres)], float32 in [0, 1]``"""

WORST_CLIPS = 5
"""Clips that are named where a tolerance is missed."""


@dataclass(frozen=True)
class ParityReport:
    """One file against Keras on the same pictures."""

    recipe: str
    takes: str
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
        tolerance = tolerance_of(self.recipe, self.takes)
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
    names = ("genres", "spectrogram", "palette", "temperature", "threshold")
    return tuple(name for name in names if getattr(run, name) != getattr(file, name))


def compare(
    recipe: str,
    shown: ParityPictures,
    keras: Probabilities,
    file: Probabilities,
    *,
    takes: str = "picture",
    card_differences: tuple[str, ...] = (),
    hard_pictures: Mapping[str, Mapping[str, Any]] | None = None,
) -> ParityReport:
    """Hold the answers of a file against Keras'.

    Parameters
    ----------
    recipe : str
        Name of the recipe, whose tolerances count.
    shown : ParityPictures
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
        takes=takes,
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


def _worst(shown: ParityPictures, counted: NDArray[np.bool_], differences: NDArray[np.float32]) -> tuple[str, ...]:
    """Clips by how far their worst window is off, those with another best genre first."""
    order = np.lexsort((-differences, ~counted))
    return tuple(list(dict.fromkeys(shown.clips[index].name for index in order))[:WORST_CLIPS])
