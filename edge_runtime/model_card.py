"""The model card: a JSON document with everything that is needed to use a model.

It is stored beside ``model.keras`` and inside every exported file, so that one file on the Pi is enough.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import TmgcError, first_line, shortened
from edge_runtime.input_kinds import INPUT_KINDS
from edge_runtime.pooling import POOLINGS
from edge_runtime.predictions import SILENCE, UNKNOWN
from edge_runtime.spectrogram import Colormap, SpectrogramSettings

SCHEMA = 2
"""Version of the document; any other is refused."""

METADATA_KEY = "tmgc_card"
"""Name of the card in ONNX ``metadata_props``."""

MAX_BYTES = 1_000_000
"""Size of the document in UTF-8: a card with a thousand calibration clips has a tenth of it."""

MAX_GENRES = 1_000

MAX_NAME = 255
"""Characters of a name: the longest file name of common file systems."""

DEFAULT_SMOOTHING_SECONDS = 6.0
"""Five windows of 2 s, one a second."""

MAX_SMOOTHING_SECONDS = 600.0

_LEVELS = frozenset(range(256))
_MAX_DEPTH = 10
_MAX_TEXT = 4_096
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, changes of the writing direction, and lone surrogates."""

_OBJECTS = ("network", "training", "accuracy", "export", "versions")


def check_genres(genres: Sequence[Any]) -> None:
    """Check the genres of a model.

    Parameters
    ----------
    genres : sequence
        In the order of the model's outputs.

    Raises
    ------
    TmgcError
        They are not 2 to :data:`MAX_GENRES` different names of one line, or one is an answer that is no genre.
    """
    for genre in genres:
        _check_name("genres", genre)
        if genre in (UNKNOWN, SILENCE):
            raise TmgcError(
                f"a genre is not called {UNKNOWN} or {SILENCE}, which are answers without a genre: rename it"
            )
    if not 2 <= len(genres) <= MAX_GENRES or len(set(genres)) != len(genres):
        raise TmgcError(
            f"a model has at least two different genres and at most {MAX_GENRES}, got {shortened(list(genres))}"
        )


def _check_name(field: str, name: Any) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        raise TmgcError(
            f"a model card's {field} must be of 1 to {MAX_NAME} printable characters in one line, got {shortened(name)}"
        )


def _check_number(field: str, number: Any, lowest: float, highest: float) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not lowest <= number <= highest:
        raise TmgcError(
            f"a model card's {field} must be a number in [{lowest:g}, {highest:g}], got {shortened(number)}"
        )


@dataclass(frozen=True)
class ModelCard:
    """How to use a model, and how it was made."""

    name: str
    """Name of the training run."""
    genres: tuple[str, ...]
    """Class names in the order of the outputs."""
    spectrogram: SpectrogramSettings
    """How audio becomes the image that the model was trained on."""
    colormap: tuple[tuple[int, ...], ...]
    """256 colours from the quietest to the loudest: RGB triples, or one level each for images of one channel."""
    input_kind: str = "image"
    """One of :data:`~edge_runtime.input_kinds.INPUT_KINDS`. ``image``: uint8
    ``[shape=(image_height, image_width, channels)]`` with the channels of the colormap; ``waveform``: float32
    ``[shape=(window_samples,)]`` in [-1, 1]."""
    temperature: float = 1.0
    """Divides the logits, to calibrate the confidence; 1 changes nothing."""
    threshold: float = 0.0
    """Confidence below which the genre is ``unknown``, in [0, 1]."""
    pooling: str = POOLINGS[0]
    """One of :data:`~edge_runtime.pooling.POOLINGS`: how several windows become one answer."""
    smoothing_seconds: float = DEFAULT_SMOOTHING_SECONDS
    """Sound that the smoothed prediction covers, unless the listener's options say otherwise, in [0.1, 600]."""
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
        _check_name("name", self.name)
        check_genres(self.genres)
        channels = {len(colour) for colour in self.colormap}
        levels = {level for colour in self.colormap for level in colour}
        if len(self.colormap) != 256 or channels not in ({1}, {3}) or not levels <= _LEVELS:
            raise TmgcError(
                "a model card's colormap is 256 RGB triples of 0 to 255, or 256 lists of one level, got "
                f"{len(self.colormap)} entries"
            )
        for name in _OBJECTS:
            if not isinstance(getattr(self, name), Mapping):
                raise TmgcError(f"a model card's {name} must be an object, got {shortened(getattr(self, name))}")
        if not isinstance(self.export.get("parity", {}), Mapping):
            raise TmgcError(f"a model card's parity must be an object, got {shortened(self.export['parity'])}")
        others = self.export.get("parity", {}).get("other_engines", {})
        if not isinstance(others, Mapping) or not all(isinstance(each, Mapping) for each in others.values()):
            raise TmgcError(f"a model card's other_engines must be an object of objects, got {shortened(others)}")
        if self.input_kind not in INPUT_KINDS:
            raise TmgcError(
                f"a model card's input_kind is {' or '.join(INPUT_KINDS)}, got {shortened(self.input_kind)}: "
                "update tmgc"
            )
        _check_number("temperature", self.temperature, 0.01, 100)
        _check_number("threshold", self.threshold, 0, 1)
        _check_number("smoothing_seconds", self.smoothing_seconds, 0.1, MAX_SMOOTHING_SECONDS)
        if self.pooling not in POOLINGS:
            raise TmgcError(
                f"a model card's pooling is {', '.join(POOLINGS)}, got {shortened(self.pooling)}: update tmgc"
            )
        if not isinstance(self.demonstration, bool):
            raise TmgcError(f"a model card's demonstration must be true or false, got {shortened(self.demonstration)}")

    @property
    def colormap_array(self) -> Colormap:
        """The colormap as an array, ``[shape=(256, channels)], uint8``."""
        return np.array(self.colormap, np.uint8)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one window as the model takes it, by :attr:`input_kind`."""
        settings = self.spectrogram
        if self.input_kind == "waveform":
            return (settings.window_samples,)
        return (settings.image_height, settings.image_width, len(self.colormap[0]))

    @property
    def failed_parity(self) -> bool:
        """Whether the export was compared with Keras and differs too much."""
        return self.export.get("parity", {}).get("passed") is False

    @property
    def failed_engines(self) -> tuple[str, ...]:
        """Engines with which the export differs too much from Keras, although it passes with another."""
        others = self.export.get("parity", {}).get("other_engines", {})
        return tuple(name for name, parity in others.items() if parity.get("passed") is not True)

    @property
    def warning(self) -> str | None:
        """A reason not to trust the predictions; None if there is none."""
        if self.failed_parity:
            return "this export failed its parity check against Keras: do not trust its predictions"
        if self.demonstration:
            return "this model is a demonstration: it knows synthesised music only, and nothing about real music"
        return None

    def to_json(self) -> str:
        """The card as a JSON document.

        Raises
        ------
        TmgcError
            It is larger than :data:`MAX_BYTES`, or holds a number that is not finite.
        """
        document: dict[str, Any] = {"schema": SCHEMA}
        document |= {item.name: getattr(self, item.name) for item in fields(self)}
        document["spectrogram"] = self.spectrogram.to_json()
        try:
            text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise TmgcError(
                f"a model card's numbers are finite: one of {self.name}'s is not. Train it again"
            ) from error
        _check_size(text)
        return text

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
            It is not a card, larger than :data:`MAX_BYTES`, or one of another schema.
        """
        try:
            _check_size(text)
            document = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
            if not isinstance(document, dict):
                raise TypeError("it is no object")
            _check_content(document)
            schema = document.pop("schema")
            if schema != SCHEMA:
                raise TmgcError(f"a model card of schema {SCHEMA} is needed, got {shortened(schema)}: update tmgc")
            if not isinstance(document["genres"], list):
                raise TypeError("genres must be a list")
            document["genres"] = tuple(document["genres"])
            document["colormap"] = tuple(tuple(colour) for colour in document["colormap"])
            document["spectrogram"] = SpectrogramSettings.from_json(document["spectrogram"])
            return cls(**document)
        except TmgcError as error:
            raise TmgcError(f"{where}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise TmgcError(
                f"{where} holds no readable model card ({first_line(error)}): export the model again"
            ) from error

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read the card beside a ``model.keras``."""
        if not path.is_file():
            raise TmgcError(f"a trained run has a {path.name}: there is none in {path.parent}. Run: tmgc-train fit")
        with path.open(encoding="utf-8", errors="replace") as file:
            return cls.from_json(file.read(MAX_BYTES + 1), where=str(path))

    def replace(self, **changes: Any) -> ModelCard:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def _check_size(text: str) -> None:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise TmgcError(f"a model card has at most {MAX_BYTES:,} bytes, got more: calibrate with fewer clips")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose names must differ: other readers would take another of two values."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a field twice")
    return found


def _check_content(document: Any) -> None:
    """Refuse nesting and texts that only a forged card has, and those that would steer a terminal."""
    level = [document]
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        texts = [value for value in level if isinstance(value, str)]
        if any(len(text) > _MAX_TEXT for text in texts):
            raise ValueError(f"text of more than {_MAX_TEXT} characters")
        if any(map(_CONTROL.search, texts)):
            raise ValueError("text with control characters")
    if level:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number
