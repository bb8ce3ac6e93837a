"""The settings of a training, in two frozen data classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from edge_runtime.errors import TmgcError

OPTIMIZERS = ("adam", "adamax", "adamw")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SCHEDULES = ("cosine", "constant")
BATCH_NORMALIZATION = ("auto", "frozen", "trained")
MONITORS = ("val_loss", "val_accuracy", "last")
AUGMENTATIONS = ("shift", "gain", "noise", "roll", "bandwidth", "spec_augment", "negatives", "mixup")
"""In the order in which they are applied."""
WIDEST = 4.0
"""Largest factor for the channels of an architecture."""


@dataclass(frozen=True)
class Augmentation:
    """How a training clip is varied each time that it is used. 0 switches a transform off."""

    shift_seconds: float = 0.5
    """Largest shift of the clip within its song, s; its stored margin is 0.5 s."""
    gain_db: float = 12.0
    """Largest change of its level in both directions, dB; samples beyond full scale are clipped.

    The spectrogram is relative to its own maximum, so that gain without clipping does not change it.
    """
    noise_share: float = 0.5
    """Share of the clips that noise is added to, in [0, 1]."""
    noise_snr_db: tuple[float, float] = (5.0, 40.0)
    """Range of the signal-to-noise ratio, drawn uniformly, dB."""
    roll: bool = False
    """Rotate each clip in time by any amount: what leaves at its end comes back at its beginning. Unlike a shift it
    needs no margins, and never runs out of variants."""
    bandwidth_share: float = 0.0
    """Share of the images that lose their highest frequencies and perhaps their lowest, as of low bit rates, low sample
    rates and small loudspeakers, in [0, 1]. It helps where a network hears another bandwidth than that of its songs."""
    masks: int = 2
    """Number of time masks, and of frequency masks (SpecAugment, Park et al. 2019)."""
    mask_share: float = 0.15
    """Widest mask as a share of the image's side, in [0, 1]."""
    negative_share: float = 0.05
    """Share of the images that are replaced by out-of-distribution negatives (speech, noise, hum, silence) with equal
    probabilities for all genres as target (outlier exposure, Hendrycks et al. 2019)."""
    negatives_per_kind: int = 100
    """Number of different negatives of each kind."""
    mixup_alpha: float = 0.3
    """Parameter of the beta distribution of mixup (Zhang et al. 2018)."""
    flip: bool = False
    """Mirror half of the images in time. Music does not run backwards; the reference recipe does this."""

    @classmethod
    def only(cls, names: tuple[str, ...]) -> Augmentation:
        """Switch on the transforms of these names at their usual strength, and all others off.

        Parameters
        ----------
        names : tuple of str
            Of :data:`AUGMENTATIONS`.

        Raises
        ------
        TmgcError
            A name is unknown.
        """
        if unknown := [name for name in names if name not in AUGMENTATIONS]:
            raise TmgcError(f"--augment is none, or some of {','.join(AUGMENTATIONS)}, got {unknown[0]}. Correct it")
        off: dict[str, dict[str, Any]] = {
            "shift": {"shift_seconds": 0.0},
            "gain": {"gain_db": 0.0},
            "noise": {"noise_share": 0.0},
            "spec_augment": {"masks": 0},
            "negatives": {"negative_share": 0.0},
            "mixup": {"mixup_alpha": 0.0},
        }
        changes = [change for name, change in off.items() if name not in names]
        if "bandwidth" in names:
            changes.append({"bandwidth_share": 0.5})
        if "roll" in names:
            changes.append({"roll": True})
        return replace(cls(), **{field: value for change in changes for field, value in change.items()})

    @property
    def names(self) -> tuple[str, ...]:
        """Those of :data:`AUGMENTATIONS` that are on."""
        strengths = {
            "shift": self.shift_seconds,
            "gain": self.gain_db,
            "noise": self.noise_share,
            "roll": self.roll,
            "bandwidth": self.bandwidth_share,
            "spec_augment": self.masks,
            "negatives": self.negative_share,
            "mixup": self.mixup_alpha,
        }
        return tuple(name for name in AUGMENTATIONS if strengths[name])

    @property
    def of_waveform(self) -> bool:
        """Whether the waveform is varied, so that spectrograms must be computed in every epoch."""
        return bool(self.shift_seconds or self.gain_db or self.noise_share)


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained: first its head on frozen features, then the whole network (fine-tuning)."""

    architecture: str = "inception_resnet_v2"
    """See :func:`train.training.architectures.find_architecture`."""
    width: float = 1.0
    """Factor for the channels of its layers."""
    weights: str = "imagenet"
    """Initial weights: ``imagenet``, ``none`` (random) or the path of a file."""
    head_epochs: int = 20
    head_learning_rate: float = 1e-3
    epochs: int = 20
    """Of fine-tuning at most."""
    minutes: float | None = None
    """Time limit of the training before a refit: no epoch begins after it, except for the first."""
    patience: int = 4
    """Early stopping: epochs without a better one, by :attr:`monitor`."""
    optimizer: str = "adam"
    learning_rate: float | None = 1e-4
    """Highest learning rate of fine-tuning; None finds one by a learning-rate range test."""
    schedule: str = "cosine"
    """``cosine`` warms up over the first tenth of the steps and decays to zero along a half cosine; or ``constant``."""
    unfreeze: float = 1.0
    """Share of the backbone's layers that are fine-tuned, from the top, in (0, 1]."""
    batch_normalization: str = "auto"
    """``frozen`` runs it in inference mode, so that the network that is validated is exactly the exported one.
    ``trained`` trains it, which random weights need. ``auto`` trains it for random weights."""
    batch_normalization_momentum: float | None = 0.9
    """Of its moving statistics where it is trained: over some ten steps, since small datasets have few. None is the
    architecture's own."""
    calibrate_batch_normalization: bool = True
    """Whether random weights start with moving statistics of real images."""
    rescale_to_unit: bool = False
    """Rescale pixels to [0, 1] instead of the range that the architecture was designed for."""
    monitor: str = "val_loss"
    """The weights of the epoch with the lowest ``val_loss`` or the highest ``val_accuracy`` are kept, or those of the
    ``last`` epoch, whatever the patience."""
    refit: bool = False
    """Train once more from the initial weights, for as many epochs as the kept ones had, on the training and the
    validation clips. What is chosen on the validation clips, such as the temperature, is chosen before."""
    batch_size: int = 32
    label_smoothing: float = 0.0
    """Probability that is moved from the true genre to all genres alike, in [0, 1) (Szegedy et al. 2016)."""
    class_weights: bool = True
    """Weight clips so that every genre contributes equally to the loss, and every song of a genre."""
    augmentation: Augmentation = Augmentation()
    teachers: tuple[str, ...] = ()
    """Whose outputs are learned beside the labels: see :func:`train.teachers.open_teacher`."""
    label_weight: float = 0.1
    """Share of the labels in the cross-entropy of the genres, in [0, 1], where a teacher has the genres of the dataset:
    the rest is its probabilities'."""
    teacher_weight: float = 1.0
    """Of the mean squared error to the scaled outputs of teachers with others, beside the cross-entropy."""
    precision: str = "float32"
    """``mixed_bfloat16`` or ``mixed_float16`` compute in 16 bits; weights and the saved model stay float32."""
    data_parallel: bool = False
    """Split each batch among all accelerators of this machine (JAX backend)."""
    seed: int = 0
    """Of random weights, dropout, augmentation and the order of the clips."""

    def __post_init__(self) -> None:
        self._check_choice("--optimizer", self.optimizer, OPTIMIZERS)
        self._check_choice("--precision", self.precision, PRECISIONS)
        self._check_choice("--batch-normalization", self.batch_normalization, BATCH_NORMALIZATION)
        self._check_choice("schedule", self.schedule, SCHEDULES)
        self._check_choice("--monitor", self.monitor, MONITORS)
        self._check("--width", 0 < self.width <= WIDEST, f"above 0 and at most {WIDEST:g}", self.width)
        self._check("--patience", self.patience >= 1, "at least 1", self.patience)
        self._check("--batch-size", self.batch_size >= 1, "at least 1", self.batch_size)
        self._check("--unfreeze", 0 < self.unfreeze <= 1, "a share above 0 and at most 1", self.unfreeze)
        self._check("--label-smoothing", 0 <= self.label_smoothing < 1, "from 0 to below 1", self.label_smoothing)
        self._check("--minutes", self.minutes is None or self.minutes > 0, "above 0", self.minutes)
        self._check("--label-weight", 0 <= self.label_weight <= 1, "from 0 to 1", self.label_weight)
        self._check("--teacher-weight", 0 < self.teacher_weight < math.inf, "above 0", self.teacher_weight)
        rate = self.learning_rate
        self._check("--learning-rate", rate is None or 0 < rate <= 1, "above 0 and at most 1, or auto", rate)
        if self.epochs < 1 or self.head_epochs < 0:
            raise TmgcError(
                f"--epochs is at least 1 and --head-epochs at least 0, got {self.epochs} and {self.head_epochs}: a "
                "network without fine-tuning loses its accuracy in quantization"
            )

    @property
    def trains_batch_normalization(self) -> bool:
        """Whether batch normalisation is trained, ``auto`` resolved."""
        return self.batch_normalization == "trained" or (self.batch_normalization, self.weights) == ("auto", "none")

    @staticmethod
    def _check(option: str, holds: bool, rule: str, got: object) -> None:
        if not holds:
            raise TmgcError(f"{option} is {rule}, got {got}. See tmgc-train fit --help")

    def _check_choice(self, option: str, got: str, choices: tuple[str, ...]) -> None:
        self._check(option, got in choices, f"one of {', '.join(choices)}", got)

    def with_recipe(self, name: str, input_kind: str = "image") -> TrainingConfig:
        """The same settings with those of a recipe in their place: see :func:`recipe`."""
        return replace(self, **recipe(name, input_kind))

    def to_json(self) -> dict[str, Any]:
        """The settings as a card and a checkpoint hold them."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainingConfig:
        """Read the settings of :meth:`to_json`."""
        values = {field.name: document[field.name] for field in fields(cls)}
        augmentation = dict(values["augmentation"])
        augmentation["noise_snr_db"] = tuple(augmentation["noise_snr_db"])
        return cls(**values | {"augmentation": Augmentation(**augmentation), "teachers": tuple(values["teachers"])})


def recipe(name: str, input_kind: str = "image") -> dict[str, Any]:
    """The settings that a recipe replaces, by the name of the field.

    Parameters
    ----------
    name : str
        ``tmgc``, ``few-songs`` or ``reference``.
    input_kind : str
        Of the network, one of :data:`edge_runtime.model_card.INPUT_KINDS`.
    """
    recipes = {"tmgc": {}, "reference": _REFERENCE, "few-songs": _FEW_SONGS[input_kind]}
    return recipes[name]


_REFERENCE: dict[str, Any] = {
    "head_epochs": 0,
    "epochs": 20,
    "patience": 8,
    "optimizer": "adamax",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "unfreeze": 1.0,
    "batch_normalization": "trained",
    "batch_normalization_momentum": None,
    "calibrate_batch_normalization": False,
    "rescale_to_unit": True,
    "monitor": "val_accuracy",
    "refit": False,
    "batch_size": 32,
    "label_smoothing": 0.0,
    "class_weights": False,
    "augmentation": replace(Augmentation.only(()), flip=True),
    "teachers": (),
}
"""The recipe of the system that this project reimplements, for comparison.

The whole network is trained from the first step, batch normalisation included, with Adamax at Keras' default rate.
Images are mirrored in time and not varied otherwise. Training stops after 8 epochs without a lower validation loss and
keeps the weights of the highest validation accuracy.
"""

_LAST_EPOCH: dict[str, Any] = {
    "monitor": "last",
    "refit": True,
    "schedule": "cosine",
    "augmentation": Augmentation.only(("roll",)),
}

_FEW_SONGS: dict[str, dict[str, Any]] = {
    "image": _LAST_EPOCH
    | {
        "head_epochs": 0,
        "epochs": 8,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "unfreeze": 1.0,
        "batch_normalization": "trained",
        "batch_normalization_momentum": 0.9,
    },
    "waveform": _LAST_EPOCH
    | {
        "head_epochs": 25,
        "epochs": 3,
        "optimizer": "adam",
        "learning_rate": 2e-5,
        "unfreeze": 0.45,
        "batch_normalization": "frozen",
    },
}
"""For a few hundred songs and a network that has heard much music, pretrained or as musicnn.

Forty validation clips cannot tell which epoch is the best, so the last one is kept, and they are trained on in the
end. Mixup and noise, which need many epochs, are off; rotation in time is cheap and never runs out of variants.
"""
