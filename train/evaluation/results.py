"""The result of an evaluation: what ``evaluation.json`` holds and what the terminal shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.dataset.dataset import Clip, Dataset
from train.evaluation.baselines import Baseline
from train.evaluation.calibration import Calibration
from train.evaluation.comparison import TeacherComparison
from train.evaluation.metrics import Scores, percent, with_ci
from train.evaluation.rejection import Rejection
from train.evaluation.robustness import DegradedScores
from train.evaluation.song_answers import SongAnswers

SCHEMA = 5
"""Version of ``evaluation.json``."""

MAX_MISCLASSIFIED = 20

DEMONSTRATION = "synthesised music, for demonstration only: these results say nothing about real music"

CAVEATS = {
    "train": "the network was trained on these songs: expect lower accuracy on others",
    "validation": "the training, the temperature and the threshold were selected on these songs: expect lower accuracy "
    "on others",
}
"""What the scores on a split do not show."""


@dataclass(frozen=True)
class Misclassified:
    """A misclassified clip."""

    clip: str
    song: str
    """Path relative to the folder of songs."""
    offset_seconds: float
    """Start of the clip in its song."""
    genre: str
    """The true one."""
    prediction: str
    confidence: float
    """Probability of the prediction after temperature scaling, in [0, 1]."""
    genre_probability: float
    """Probability of the true genre, in [0, 1]."""
    audio: str
    """FLAC file, path relative to the run's folder."""
    image: str
    """PNG file, path relative to the run's folder."""


@dataclass(frozen=True)
class Evaluation(Scores):
    """Scores of a model on one split, the quality of its confidence, and its errors."""

    song_answers: SongAnswers
    calibration: Calibration
    rejection: Rejection
    misclassified: tuple[Misclassified, ...]
    """By falling confidence, :data:`MAX_MISCLASSIFIED` at most."""
    robustness: tuple[DegradedScores, ...] = ()
    """Accuracy on degraded audio; empty if it was not requested."""
    baselines: tuple[Baseline, ...] = ()
    """What the network is compared with; empty if it was not requested."""
    teacher: TeacherComparison | None = None
    """The run that the network is compared with, of which it is a student; None if it was not requested."""

    def to_json(self) -> str:
        """The evaluation as it stands in ``evaluation.json``: ``schema`` and the fields under their names."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, indent=1, allow_nan=False)
        # A file name that is not UTF-8 holds lone surrogates, which stand in JSON only as \udcXX.
        return text.encode("utf-8", "backslashreplace").decode()

    def for_card(self) -> dict[str, Any]:
        """The field ``accuracy`` of the model card."""
        found = {
            "split": self.split,
            "songs": self.songs,
            "clips": self.clips,
            "clip_accuracy": self.clip_accuracy,
            "clip_accuracy_ci": list(self.clip_accuracy_ci),
            "song_accuracy": self.song_accuracy,
            "song_accuracy_ci": list(self.song_accuracy_ci),
        }
        return found | ({"teacher": asdict(self.teacher)} if self.teacher else {})

    def caveats(self) -> list[str]:
        """What the scores do not show."""
        found = [CAVEATS[self.split]] if self.split in CAVEATS else []
        return [DEMONSTRATION, *found] if self.demonstration else found

    def as_text(self) -> str:
        """The evaluation on one screen of a terminal."""
        lines = [
            f"song accuracy {with_ci(self.song_accuracy, self.song_accuracy_ci)} on {self.songs} songs, "
            f"top-2 {percent(self.song_top2_accuracy)}, macro F1 {self.song_macro_f1:.2f}",
            f"clip accuracy {with_ci(self.clip_accuracy, self.clip_accuracy_ci)} on {self.clips} clips, "
            f"top-2 {percent(self.clip_top2_accuracy)}, macro F1 {self.clip_macro_f1:.2f}",
            *self._answer_lines(),
            *self._genre_lines(),
            *self._confidence_lines(),
            *self._robustness_lines(),
            *self._baseline_lines(),
            *([self.teacher.as_text()] if self.teacher else []),
            *(f"note: {caveat}" for caveat in self.caveats()),
        ]
        return "\n".join(lines)

    def _genre_lines(self) -> list[str]:
        width = max(map(len, self.genres))
        return [
            f"  {genre:<{width}}  F1 {scores['f1']:.2f}  precision {scores['precision']:.2f}  "
            f"recall {scores['recall']:.2f}  F1 by song {self.per_genre_songs[genre]['f1']:.2f}"
            for genre, scores in self.per_genre.items()
        ]

    def _answer_lines(self) -> list[str]:
        choice, curves = self.song_answers.choice, self.song_answers.curves
        curve = curves[choice.pooling]
        by_pooling = ", ".join(f"{name} {percent(points[-1].accuracy)}" for name, points in curves.items())
        by_seconds = ", ".join(f"{point.seconds:g} s {percent(point.accuracy)}" for point in curve)
        return [
            f"song accuracy by pooling: {by_pooling}; used: {choice.pooling} ({choice.pooling_reason})",
            f"song accuracy after the first {by_seconds}",
            f"smoothing when listening: {choice.smoothing_seconds:g} s ({choice.smoothing_reason})",
        ]

    def _confidence_lines(self) -> list[str]:
        fit, rejection = self.calibration.fit, self.rejection
        before, after = (
            percent(each.expected_calibration_error) for each in (self.calibration.before, self.calibration.after)
        )
        scaled = f", {after} after" if fit.temperature != 1 else ""
        accepted = ", ".join(
            f"{each.kind} {100 * each.false_acceptance_rate:.0f} %" for each in rejection.out_of_distribution
        )
        return [
            f"expected calibration error {before} before temperature scaling{scaled} (temperature "
            f"{fit.temperature:.2f}: {fit.reason})",
            f"rejection: unknown below a confidence of {rejection.threshold:.2f}; false rejection rate "
            f"{percent(rejection.false_rejection_rate)}",
            f"out-of-distribution audio accepted as music: {accepted}",
        ]

    def _robustness_lines(self) -> list[str]:
        if not self.robustness:
            return []
        return [
            "robustness, clip accuracy by degradation:",
            *(f"  {each.name:<24} {with_ci(each.clip_accuracy, each.clip_accuracy_ci)}" for each in self.robustness),
        ]

    def _baseline_lines(self) -> list[str]:
        lines = [
            f"baseline, {each.name}: clip accuracy {percent(each.clip_accuracy)}, song accuracy "
            f"{percent(each.song_accuracy)}; {each.verdict}"
            for each in self.baselines
        ]
        return [*lines, self.ranking()] if lines else []

    def ranking(self) -> str:
        """The network and the baselines from the highest clip accuracy to the lowest, in one line."""
        accuracies = {"the network": self.clip_accuracy} | {each.name: each.clip_accuracy for each in self.baselines}
        ranked = sorted(accuracies.items(), key=lambda item: -item[1])
        return "from best to worst by clip accuracy: " + ", ".join(f"{name} {percent(one)}" for name, one in ranked)


def most_confident_errors(
    dataset: Dataset, clips: Sequence[Clip], probabilities: NDArray[np.float32]
) -> tuple[Misclassified, ...]:
    """The misclassified clips by falling confidence, :data:`MAX_MISCLASSIFIED` at most.

    Parameters
    ----------
    dataset : Dataset
    clips : sequence of Clip
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        After temperature scaling.
    """
    labels, predictions = dataset.labels(clips), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    worst = wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:MAX_MISCLASSIFIED]
    folder = dataset.run.folder
    return tuple(
        Misclassified(
            clip=clips[row].name,
            song=clips[row].song,
            offset_seconds=clips[row].offset_seconds,
            genre=clips[row].genre,
            prediction=dataset.genres[predictions[row]],
            confidence=float(probabilities[row, predictions[row]]),
            genre_probability=float(probabilities[row, labels[row]]),
            audio=clips[row].audio_path(dataset.run).relative_to(folder).as_posix(),
            image=clips[row].image_path(dataset.run).relative_to(folder).as_posix(),
        )
        for row in worst.tolist()
    )
