"""The baselines that a network must beat, on the same split: MFCC statistics with a support vector machine, and a
teacher's outputs with logistic regression.

Genre classification from mean and spread of short-time features follows Tzanetakis and Cook (2002), "Musical genre
classification of audio signals". Both are fitted in seconds: a network that does not beat them is not worth its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from train.dataset.clip_values import clip_values
from train.dataset.dataset import Clip, Dataset
from train.evaluation.metrics import Difference, Interval, compute_scores, paired_difference
from train.progress import Reporter
from train.teachers import Teacher, hearing

_N_MFCC = 20
"""librosa's default."""

_FRAME_SECONDS, _HOP_SECONDS = 2048 / 44_100, 512 / 44_100
"""librosa's default numbers of samples, at 44 100 Hz: with as many at 16 kHz, 5 songs less of 100 are recognised."""

_SVM_GRID = {"C": (3.0, 1.0, 10.0, 30.0)}
_LOGISTIC_GRID = {"C": (0.03, 0.01, 0.1)}
"""What is tried on the validation split, the usual choice first; features are standardised."""

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Features ``[shape=(n, n_features)]`` and labels ``[shape=(n,)]``."""


@dataclass(frozen=True)
class Baseline:
    """The baseline's accuracy on one split, and the network's compared with it."""

    name: str
    """The method with its chosen hyperparameters."""
    clip_accuracy: float
    """In [0, 1]."""
    clip_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""
    song_accuracy: float
    """In [0, 1]."""
    song_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""
    difference: float
    """Clip accuracy of the network minus that of the baseline."""
    difference_ci: Interval
    """95 % CI of the paired bootstrap over groups of songs."""
    verdict: str
    """What follows, in one sentence."""


def fit_baselines(
    dataset: Dataset,
    split: str,
    probabilities: NDArray[np.float32],
    reporter: Reporter,
    *,
    teacher: Teacher | None = None,
) -> tuple[Baseline, ...]:
    """Fit the baselines on the training split, and compare a network with them on another one.

    A baseline gets the same data as the network: the validation clips select its hyperparameters. Then it is fitted to
    them, too, unless they are what it is compared on.

    Parameters
    ----------
    dataset : Dataset
    split : str
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        The network's, for the clips of ``split`` in the order of ``dataset.csv``.
    reporter : Reporter
    teacher : Teacher, optional
        Adds the baseline of its outputs.

    Returns
    -------
    baselines : tuple of Baseline
        One of MFCC statistics, and one of the teacher.

    Raises
    ------
    TmgcError
        The audio of a clip is missing.
    """
    fitted = []
    clips = {
        part: [clip for clip in dataset.of(part) if not clip.is_correction]  # these have no audio
        for part in dict.fromkeys(("train", "validation", split))
    }
    labels = {part: dataset.labels(some) for part, some in clips.items()}
    correct = probabilities.argmax(axis=1) == labels[split]
    for method in baseline_methods(dataset.spectrogram.sample_rate, teacher):
        features = {part: method.features(dataset, some, reporter) for part, some in clips.items()}
        train, validation = ((features[part], labels[part]) for part in ("train", "validation"))
        predictions, chosen = method.predict(train, validation, features[split], reporter, refit=split == "test")
        scores = compute_scores(predictions, clips[split], dataset.genres, split=split)
        difference = paired_difference(correct, predictions.argmax(axis=1) == labels[split], clips[split])
        fitted.append(
            Baseline(
                name=f"{method.name} ({chosen})",
                clip_accuracy=scores.clip_accuracy,
                clip_accuracy_ci=scores.clip_accuracy_ci,
                song_accuracy=scores.song_accuracy,
                song_accuracy_ci=scores.song_accuracy_ci,
                difference=difference.value,
                difference_ci=difference.ci,
                verdict=_verdict(difference),
            )
        )
    return tuple(fitted)


Features = Callable[[Samples], NDArray[np.float32]]
"""Windows ``[shape=(n, window_samples)]`` to features ``[shape=(n, n_features)]``."""


class Method(NamedTuple):
    """A baseline: features of the audio, and a classifier of them."""

    name: str
    kind: str
    """``mfcc`` or ``teacher``: the folder of its features in the run."""
    depends_on: Sequence[Any]
    """What the features depend on besides the sound."""
    n_features: int
    extract: Features
    make: Callable[..., Any]
    """Gives a classifier with certain hyperparameters."""
    grid: Mapping[str, Sequence[float]]
    """The hyperparameters that are tried."""

    def features(self, dataset: Dataset, clips: Sequence[Clip], reporter: Reporter) -> NDArray[np.float32]:
        """The features of clips, ``[shape=(n_clips, n_features)], float32``: computed once, and kept in the run.

        Each clip that is computed is a step of the reporter.
        """
        return clip_values(
            dataset,
            clips,
            lambda some: self.extract(np.stack([dataset.samples(clip) for clip in some])),
            folder=dataset.run.features / self.kind,
            depends_on=self.depends_on,
            shape=(self.n_features,),
            dtype=np.float32,
            reporter=reporter,
            phase=f"computing features for {self.name}",
        )

    def fit(self, train: Labelled, validation: Labelled, reporter: Reporter) -> tuple[Any, dict[str, float]]:
        """Fit the classifier to standardised training features; the validation data select its hyperparameters.

        Parameters
        ----------
        train, validation : Labelled
        reporter : Reporter

        Returns
        -------
        machine : sklearn.pipeline.Pipeline
            With the highest validation accuracy; fitted to the training data alone.
        chosen : dict
            Its hyperparameters.
        """
        from sklearn.model_selection import ParameterGrid
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        candidates = list(ParameterGrid(self.grid))
        reporter.phase("selecting the baseline's hyperparameters on the validation split", len(candidates))
        machines = [make_pipeline(StandardScaler(), self.make(**settings)) for settings in candidates]
        scores = []
        for machine in machines:
            scores.append(machine.fit(*train).score(*validation))
            reporter.step({"accuracy": scores[-1]})
        best = int(np.argmax(scores))
        return machines[best], candidates[best]

    def predict(
        self,
        train: Labelled,
        validation: Labelled,
        features: NDArray[np.float32],
        reporter: Reporter,
        *,
        refit: bool,
    ) -> tuple[NDArray[np.float32], str]:
        """Fit the classifier, and predict other clips.

        Parameters
        ----------
        train, validation : Labelled
            The validation data select hyperparameters.
        features : np.ndarray [shape=(n_clips, n_features)], float32
        reporter : Reporter
        refit : bool
            Whether to fit the selected classifier to both: not if the features are those of the validation data.

        Returns
        -------
        probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
            Not calibrated.
        chosen : str
            The hyperparameters, such as ``C=3``.
        """
        machine, chosen = self.fit(train, validation, reporter)
        if refit:
            machine.fit(np.concatenate([train[0], validation[0]]), np.concatenate([train[1], validation[1]]))
        return _probabilities(machine, features), ", ".join(f"{key}={value:g}" for key, value in chosen.items())


def baseline_methods(sample_rate: int, teacher: Teacher | None = None) -> list[Method]:
    """MFCC statistics with a support vector machine, and a teacher's outputs with a logistic regression.

    Parameters
    ----------
    sample_rate : int > 0, Hz
        Of the windows.
    teacher : Teacher, optional
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    def mfcc(windows: Samples) -> NDArray[np.float32]:
        return np.stack([mfcc_statistics(samples, sample_rate) for samples in windows])

    settings = [_N_MFCC, _FRAME_SECONDS, _HOP_SECONDS, version("librosa")]
    methods = [Method("SVM on MFCC statistics", "mfcc", settings, 6 * _N_MFCC, mfcc, SVC, _SVM_GRID)]
    if teacher:
        hear = hearing(teacher, sample_rate)
        regression = partial(LogisticRegression, max_iter=2000)
        name, count = f"logistic regression on {teacher.name}", len(teacher.target_names)
        methods.append(Method(name, "teacher", [teacher.weights_sha256], count, hear, regression, _LOGISTIC_GRID))
    return methods


def mfcc_statistics(samples: Samples, sample_rate: int) -> NDArray[np.float32]:
    """Mean and standard deviation over time of MFCC and of their first and second derivatives.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
        Three frames of 46 ms or more.
    sample_rate : int > 0, Hz

    Returns
    -------
    features : np.ndarray [shape=(120,)], float32

    See Also
    --------
    librosa.feature.mfcc, librosa.feature.delta : with their default settings, except for the frames
    """
    import librosa

    n_fft, hop_length = (round(seconds * sample_rate) for seconds in (_FRAME_SECONDS, _HOP_SECONDS))
    mfcc = librosa.feature.mfcc(y=samples, sr=sample_rate, n_mfcc=_N_MFCC, n_fft=n_fft, hop_length=hop_length)
    # librosa's default of 9 frames, or fewer in a short clip: a width must be odd.
    width = min(9, (mfcc.shape[1] - 1) // 2 * 2 + 1)
    series = [mfcc, *(librosa.feature.delta(mfcc, order=order, width=width) for order in (1, 2))]
    statistics = [statistic for part in series for statistic in (part.mean(axis=1), part.std(axis=1))]
    return np.concatenate(statistics).astype(np.float32)


def _probabilities(machine: Any, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of the decision function: not calibrated, but good enough to average over the clips of a song."""
    from scipy.special import softmax

    decisions = machine.decision_function(features)
    if decisions.ndim == 1:  # of two genres, scikit-learn gives one column
        decisions = np.stack([-decisions, decisions], axis=1)
    probabilities: NDArray[np.float32] = softmax(decisions, axis=1).astype(np.float32)
    return probabilities


def _verdict(difference: Difference) -> str:
    if difference.sign > 0:
        return "the network is significantly better than the baseline"
    if difference.sign < 0:
        return "the baseline is significantly better than the network"
    return f"no significant difference between network and baseline on {difference.songs} songs"
