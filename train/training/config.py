"""Every choice of a training, in two frozen data classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from edge_runtime.errors import TmgcError

OPTIMIZERS = ("adam", "adamax", "adamw")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
AUGMENTATIONS = ("shift", "gain", "noise", "masks", "negatives", "mixup")
"""In the order in which they are applied."""


@dataclass(frozen=True)
class Augmentation:
    """What is varied in a clip each time that it is trained on. 0 switches a variation off."""

    shift_seconds: float = 0.5
    """Cut the clip at another moment of its song, at most so far away; its stored margin is 0.5 s."""
    gain_db: float = 12.0
    """Make it louder or softer by at most so many decibels; what then exceeds full scale is clipped.

    A picture is drawn against its own maximum, so that gain without clipping changes nothing in it.
    """
    noise_share: float = 0.5
    """Share of the clips that noise is added to ..."""
    noise_snr_db: tuple[float, float] = (5.0, 40.0)
    """... at a random signal-to-noise ratio between these two, in decibels."""
    masks: int = 2
    """Bands of time, and as many of frequency, that are hidden (Park et al. 2019, "SpecAugment")."""
    mask_share: float = 0.15
    """Widest such band, as a share of the picture."""
    impostor_share: float = 0.05
    """Share of the pictures whose place is taken by speech, noise, hum or silence that is no genre more than another
    (Hendrycks et al. 2019, "Deep anomaly detection with outlier exposure")."""
    mixup_alpha: float = 0.3
    """Of the beta distribution that two pictures and their genres are mixed by (Zhang et al. 2018, "mixup")."""
    flip: bool = False
    """Mirror the picture in time, half the times. Music does not run backwards; the original does this."""

    @classmethod
    def only(cls, names: tuple[str, ...]) -> Augmentation:
        """The variations of these names, of :data:`AUGMENTATIONS`, at their usual strength; the others are off."""
        if unknown := [name for name in names if name not in AUGMENTATIONS]:
            raise TmgcError(f"--augment is none, or some of {','.join(AUGMENTATIONS)}, got {unknown[0]}. Correct it")
        off: dict[str, dict[str, Any]] = {
            "shift": {"shift_seconds": 0.0},
            "gain": {"gain_db": 0.0},
            "noise": {"noise_share": 0.0},
            "masks": {"masks": 0},
            "negatives": {"impostor_share": 0.0},
            "mixup": {"mixup_alpha": 0.0},
        }
        changes = [change for name, change in off.items() if name not in names]
        return replace(cls(), **{field: value for change in changes for field, value in change.items()})

    @property
    def varies_sound(self) -> bool:
        """Whether pictures must be drawn anew from sound each time."""
        return bool(self.shift_seconds or self.gain_db or self.noise_share)


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained."""

    architecture: str = "inception_resnet_v2"
    weights: str = "imagenet"
    """``imagenet``, ``none`` (random) or the path of a weights file."""
    head_epochs: int = 20
    head_learning_rate: float = 1e-3
    epochs: int = 20
    """Of fine-tuning; it stops earlier when the validation loss no longer falls."""
    minutes: float | None = None
    """Of the whole training: no further epoch begins after them."""
    patience: int = 4
    """Epochs without a lower validation loss before it stops."""
    optimizer: str = "adam"
    learning_rate: float | None = 1e-4
    """Of fine-tuning, at its highest; None finds one by a range test."""
    falling: bool = True
    """The learning rate rises over the first tenth of the steps and falls to zero along a half cosine."""
    unfreeze: float = 1.0
    """Share of the backbone's layers that are fine-tuned, from the top."""
    batch_normalization: str = "auto"
    """``frozen`` keeps it in inference mode: what is validated is then exactly what is exported, after every step.
    ``trained`` lets it learn, without which random weights do not get far. ``auto`` trains it for random weights."""
    batch_normalization_momentum: float | None = 0.9
    """Of its running statistics where it is trained: over some ten steps, since small corpora have few. None is the
    architecture's own."""
    calibrate: bool = True
    """Whether random weights get the statistics of batch normalisation that the pictures cause, before training."""
    rescale_to_unit: bool = False
    """Scale pixels to [0, 1] instead of what the architecture was designed for."""
    keep: str = "val_loss"
    """The weights that are kept are of the epoch of the lowest ``val_loss`` or of the highest ``val_accuracy``."""
    batch_size: int = 32
    label_smoothing: float = 0.0
    """Probability that is taken from the true genre and spread over all (Szegedy et al. 2016)."""
    class_weights: bool = True
    """Genres with few clips count as much as those with many."""
    augmentation: Augmentation = Augmentation()
    precision: str = "float32"
    """``mixed_bfloat16`` or ``mixed_float16`` compute in 16 bits; weights and the saved model stay float32."""
    data_parallel: bool = False
    """Share each batch among all accelerators of this machine."""
    seed: int = 0
    """Of random weights, dropout, augmentation and the order of the pictures."""

    def __post_init__(self) -> None:
        self._check("--optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}", self.optimizer)
        self._check("--precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}", self.precision)
        modes = ("auto", "frozen", "trained")
        mode = self.batch_normalization
        self._check("--batch-normalization", mode in modes, f"one of {', '.join(modes)}", mode)
        self._check("--patience", self.patience >= 1, "at least 1", self.patience)
        self._check("--batch-size", self.batch_size >= 1, "at least 1", self.batch_size)
        self._check("--unfreeze", 0 < self.unfreeze <= 1, "a share above 0 and at most 1", self.unfreeze)
        self._check("--label-smoothing", 0 <= self.label_smoothing < 1, "from 0 to below 1", self.label_smoothing)
        self._check("--minutes", self.minutes is None or self.minutes > 0, "above 0", self.minutes)
        rate = self.learning_rate
        self._check("--learning-rate", rate is None or 0 < rate <= 1, "above 0 and at most 1, or auto", rate)
        if self.epochs < 1 or self.head_epochs < 0:
            raise TmgcError(
                f"--epochs is at least 1 and --head-epochs at least 0, got {self.epochs} and {self.head_epochs}: a "
                "network that was never fine-tuned does not survive quantisation"
            )

    @property
    def trains_batch_normalization(self) -> bool:
        """Whether batch normalisation learns, ``auto`` resolved."""
        return self.batch_normalization == "trained" or (self.batch_normalization, self.weights) == ("auto", "none")

    @staticmethod
    def _check(option: str, holds: bool, rule: str, got: object) -> None:
        if not holds:
            raise TmgcError(f"{option} is {rule}, got {got}. See tmgc-train fit --help")

    def as_the_original(self) -> TrainingConfig:
        """The same with what :data:`ORIGINAL` sets."""
        return replace(self, **ORIGINAL)

    def to_json(self) -> dict[str, Any]:
        """The settings as they stand in a card and in an interrupted training."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainingConfig:
        """The settings of :meth:`to_json`."""
        values = {field.name: document[field.name] for field in fields(cls)}
        augmentation = dict(values["augmentation"])
        augmentation["noise_snr_db"] = tuple(augmentation["noise_snr_db"])
        return cls(**values | {"augmentation": Augmentation(**augmentation)})


ORIGINAL: dict[str, Any] = {
    "head_epochs": 0,
    "epochs": 20,
    "patience": 8,
    "optimizer": "adamax",
    "learning_rate": 1e-3,
    "falling": False,
    "unfreeze": 1.0,
    "batch_normalization": "trained",
    "batch_normalization_momentum": None,
    "calibrate": False,
    "rescale_to_unit": True,
    "keep": "val_accuracy",
    "batch_size": 32,
    "label_smoothing": 0.0,
    "class_weights": False,
    "augmentation": replace(Augmentation.only(()), flip=True),
}
"""The recipe of the system that this one reimplements.

Nothing is frozen, batch normalisation learns from the first step, the whole network is trained from its start with
Adamax at Keras' own rate, pictures are mirrored, and nothing else varies them. It stops after 8 epochs without a lower
validation loss and keeps the weights of the highest validation accuracy.
"""
