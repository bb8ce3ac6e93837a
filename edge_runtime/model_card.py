"""The model card: a JSON document with everything that is needed to use a model.

It is stored beside ``model.keras`` and inside every exported file, so that one file on the Pi is enough.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Colormap, SpectrogramSettings

SCHEMA = 2
"""Version of the document; any other is refused."""

INPUT_KINDS = ("image", "waveform")
"""Input of a model: the spectrogram image, or the waveform, where the spectrogram is part of the model."""

METADATA_KEY = "tmgc_card"
"""Name of the card in ONNX ``metadata_props``."""


_LEVELS = frozenset(range(256))


@dataclass(frozen=True)
class ModelCard:
    """How to use a model, and how it was made."""

    name: str
    """Name of the training run."""
    genres: tuple[str, ...]
    """Class names in the order of the outputs."""
    spectrogram: SpectrogramSettings
    """How audio becomes the image that the model was trained on."""
    colormap: tuple[tuple[int, int, int], ...]
    """256 RGB triples from the quietest to the loudest."""
    input_kind: str = "image"
    """One of :data:`INPUT_KINDS`. ``image``: uint8 ``[shape=(image_height, image_width, 3)]``; ``waveform``: float32
    ``[shape=(window_samples,)]`` in [-1, 1]."""
    temperature: float = 1.0
    """Divides the logits, to calibrate the confidence; 1 changes nothing."""
    threshold: float = 0.0
    """Confidence below which the genre is ``unknown``, in [0, 1]."""
    demonstration: bool = False
    """Trained on synthesised music, so of no use for real music."""
    network: Mapping[str, Any] = field(default_factory=dict)
    """Architecture, number of weights, and the initial weights."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Songs and clips of each split, epochs, duration in seconds."""
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    """Accuracy on songs and on clips of the test split, in [0, 1]."""
    export: Mapping[str, Any] = field(default_factory=dict)
    """Format, recipe, calibration clips and parity; empty beside ``model.keras``."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of Python and of the libraries that made the file."""

    def __post_init__(self) -> None:
        if len(self.genres) < 2 or len(set(self.genres)) != len(self.genres):
            raise TmgcError(f"a model card names at least two different genres, got {list(self.genres)}")
        if not all(isinstance(genre, str) and genre.isprintable() and genre for genre in self.genres):
            raise TmgcError(f"a model card's genres are names of one line, got {list(self.genres)}")
        levels = [level for colour in self.colormap if len(colour) == 3 for level in colour]
        if len(self.colormap) != 256 or len(levels) != 768 or not set(levels) <= _LEVELS:
            raise TmgcError(f"a model card's colormap is 256 RGB triples of 0 to 255, got {len(self.colormap)} entries")
        for name in ("network", "training", "accuracy", "export", "versions"):
            if not isinstance(getattr(self, name), Mapping):
                raise TmgcError(f"a model card's {name} is an object, got {getattr(self, name)!r}")
        if self.input_kind not in INPUT_KINDS:
            raise TmgcError(
                f"a model card's input_kind is {' or '.join(INPUT_KINDS)}, got {self.input_kind!r}: update tmgc"
            )
        if not 0.01 <= self.temperature <= 100:
            raise TmgcError(f"a model card's temperature must lie in [0.01, 100], got {self.temperature}")
        if not 0 <= self.threshold <= 1:
            raise TmgcError(f"a model card's threshold must lie in [0, 1], got {self.threshold}")

    @property
    def colormap_array(self) -> Colormap:
        """The colormap as an array, ``[shape=(256, 3)], uint8``."""
        return np.array(self.colormap, np.uint8)

    @property
    def failed_parity(self) -> bool:
        """Whether the export was compared with Keras and differs too much."""
        return dict(self.export.get("parity") or {}).get("passed") is False

    @property
    def warning(self) -> str | None:
        """A reason not to trust the predictions; None if there is none."""
        if self.failed_parity:
            return "this export failed its parity check against Keras: do not trust its predictions"
        if self.demonstration:
            return "this model is a demonstration: it knows synthesised music only, and nothing about real music"
        return None

    def to_json(self) -> str:
        """The card as a JSON document."""
        document: dict[str, Any] = {"schema": SCHEMA}
        document |= {item.name: getattr(self, item.name) for item in fields(self)}
        document["spectrogram"] = self.spectrogram.to_json()
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, *, where: str) -> ModelCard:
        """Parse the JSON document of a card.

        Parameters
        ----------
        text : str
        where : str
            The file that contains it, for the message.

        Raises
        ------
        TmgcError
            It is not a card, or one of another schema.
        """
        try:
            document = json.loads(text)
            schema = document.pop("schema")
            if schema != SCHEMA:
                raise TmgcError(f"{where}: a model card of schema {SCHEMA} is needed, got {schema}: update tmgc")
            document["genres"] = tuple(document["genres"])
            document["colormap"] = tuple(tuple(colour) for colour in document["colormap"])
            document["spectrogram"] = SpectrogramSettings.from_json(document["spectrogram"])
            return cls(**document)
        except TmgcError as error:
            raise TmgcError(f"{where}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise TmgcError(f"{where} holds no readable model card ({error}): export the model again") from error

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read the card beside a ``model.keras``."""
        if not path.is_file():
            raise TmgcError(f"a trained run has a {path.name}: there is none in {path.parent}. Run: tmgc-train fit")
        return cls.from_json(path.read_text("utf-8", errors="replace"), where=str(path))

    def replace(self, **changes: Any) -> ModelCard:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)
