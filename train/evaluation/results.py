"""Everything that is found out about a model on one split, as ``evaluation.json`` keeps it and a terminal shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from train.dataset.dataset import Clip, Dataset
from train.evaluation.calibration import Calibration
from train.evaluation.metrics import Scores
from train.evaluation.rejection import Unknown

if TYPE_CHECKING:
    from train.evaluation.baselines import Baseline
    from train.evaluation.robustness import Degraded


MAX_MISCLASSIFIED = 20


@dataclass(frozen=True)
class Misclassified:
    """A clip that was named wrong."""

    clip: str
    song: str
    """Path below the dataset, or group."""
    offset_seconds: float
    """Where the clip begins in its song."""
    genre: str
    """What it is."""
    prediction: str
    """What the model says."""
    confidence: float
    """Of that answer, after temperature, in [0, 1]."""
    genre_probability: float
    """Of the true genre, in [0, 1]."""
    sound: str
    """FLAC file, path below the run's folder."""
    picture: str
    """PNG file, path below the run's folder."""


def worst_misclassified(
    dataset: Dataset, clips: Sequence[Clip], probabilities: NDArray[np.float32]
) -> tuple[Misclassified, ...]:
    """The wrong answers of the highest confidence, worst first, 20 at most.

    Parameters
    ----------
    dataset : Dataset
    clips : sequence of Clip
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        After temperature.
    """
    labels, predictions = dataset.labels(clips), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    worst = wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:MAX_MISCLASSIFIED]
    return tuple(
        Misclassified(
            clip=clips[row].name,
            song=clips[row].song,
            offset_seconds=clips[row].offset_seconds,
            genre=clips[row].genre,
            prediction=dataset.genres[predictions[row]],
            confidence=float(probabilities[row, predictions[row]]),
            genre_probability=float(probabilities[row, labels[row]]),
            sound=clips[row].audio_path(dataset.run).relative_to(dataset.run.folder).as_posix(),
            picture=clips[row].image_path(dataset.run).relative_to(dataset.run.folder).as_posix(),
        )
        for row in worst.tolist()
    )


DEMONSTRATION = "of synthesised music, for demonstration only: nothing about real music follows from it"

CAVEATS = {
    "train": "the network was trained on these songs: on others it does worse",
    "validation": "training, temperature and threshold were chosen by these songs: on others it does worse",
}
"""What must be known of the scores on a split before believing them."""


@dataclass(frozen=True)
class Evaluation(Scores):
    """What is known of a model on one split: its scores, and what its confidence is worth."""

    calibration: Calibration
    unknown: Unknown
    misclassified: tuple[Misclassified, ...]
    """The clips that it got most wrong, worst first."""
    degraded: tuple[Degraded, ...] = ()
    """Accuracy on sound of low quality; empty unless asked for."""
    baseline: Baseline | None = None
    """What a simpler way reaches; None unless asked for."""

    def to_json(self) -> str:
        """The evaluation as it stands in ``evaluation.json``: these fields under their names, and a schema."""
        text = json.dumps({"schema": 1, **asdict(self)}, ensure_ascii=False, indent=1, allow_nan=False)
        # A file name that is not UTF-8 holds lone surrogates, which stand in JSON only as \udcXX.
        return text.encode("utf-8", "backslashreplace").decode()

    def caveats(self) -> list[str]:
        """What must be known before believing the scores."""
        found = [CAVEATS[self.split]] if self.split in CAVEATS else []
        return [DEMONSTRATION, *found] if self.demonstration else found

    def as_text(self) -> str:
        """The evaluation for a person to read, on one screen."""
        rows = [
            f"{name} named right: {share:.1%} (95 % interval {low:.1%} to {high:.1%}) of {count} {name}, "
            f"macro F1 {f1:.2f}, among the two likeliest {top2:.1%}"
            for name, share, (low, high), count, f1, top2 in (
                (
                    "songs",
                    self.song_accuracy,
                    self.song_interval,
                    self.songs,
                    self.song_macro_f1,
                    self.song_top2_accuracy,
                ),
                (
                    "clips",
                    self.clip_accuracy,
                    self.clip_interval,
                    self.clips,
                    self.clip_macro_f1,
                    self.clip_top2_accuracy,
                ),
            )
        ]
        rows += [
            f"  {genre:<12} F1 {scores['f1']:.2f}  precision {scores['precision']:.2f}  recall {scores['recall']:.2f}"
            f"  by song F1 {self.per_genre_songs[genre]['f1']:.2f}"
            for genre, scores in self.per_genre.items()
        ]
        rows += [*self._confidence_rows(), *self._comparison_rows()]
        return "\n".join(rows + [f"  {caveat}" for caveat in self.caveats()])

    def for_card(self) -> dict[str, Any]:
        """What the model card keeps of it."""
        return {
            "split": self.split,
            "songs": self.songs,
            "clips": self.clips,
            "clip_accuracy": self.clip_accuracy,
            "clip_interval": list(self.clip_interval),
            "song_accuracy": self.song_accuracy,
            "song_interval": list(self.song_interval),
        }

    def _confidence_rows(self) -> list[str]:
        before, after = (each.expected_calibration_error for each in (self.calibration.before, self.calibration.after))
        passed = ", ".join(f"{each.kind} {each.given_a_genre:.0%}" for each in self.unknown.negatives)
        return [
            f"expected calibration error: {before:.1%}, and {after:.1%} at temperature "
            f"{self.calibration.temperature:.2f}",
            f"unknown: below a confidence of {self.unknown.threshold:.2f}, which refuses "
            f"{self.unknown.right_refused:.1%} of the clips that would be named right",
            f"wrongly given a genre: {passed}",
        ]

    def _comparison_rows(self) -> list[str]:
        rows = []
        if self.degraded:
            rows.append("clips named right with worse sound:")
        rows += [
            f"  {each.name:<24} {each.clip_accuracy:.1%} ({each.clip_interval[0]:.1%} to {each.clip_interval[1]:.1%})"
            for each in self.degraded
        ]
        if self.baseline is not None:
            rows.append(
                f"baseline ({self.baseline.name}): clips {self.baseline.clip_accuracy:.1%}, songs "
                f"{self.baseline.song_accuracy:.1%}; {self.baseline.verdict}"
            )
        return rows
