"""Formats, quantisation recipes and the options of ``tmgc-export``, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from edge_runtime.errors import TmgcError


@dataclass(frozen=True)
class Recipe:
    """How a file stores and computes the numbers of a network."""

    name: str
    """As in file names and model cards."""
    option: str
    """As ``--quantize`` calls it."""
    description: str
    calibrated: bool = False
    """Whether quantisation needs calibration data to find the ranges of the activations."""


FLOAT32 = Recipe("float32", "none", "float32 weights and activations")
FLOAT16 = Recipe("float16", "float16", "float16 weights, float32 arithmetic: half the size")
DYNAMIC = Recipe("dynamic", "dynamic", "int8 weights, activations quantised at run time: a quarter of the size")
INT8 = Recipe("int8", "int8", "int8 weights and activations: a quarter of the size, and the fastest", calibrated=True)

RECIPES = (FLOAT32, FLOAT16, DYNAMIC, INT8)


@dataclass(frozen=True)
class Format:
    """A kind of model file."""

    name: str
    suffix: str
    recipes: tuple[Recipe, ...]
    """Those that it supports."""


FORMATS = {
    "tflite": Format("tflite", ".tflite", (FLOAT32, FLOAT16, DYNAMIC, INT8)),
    # ONNX Runtime has no float16 kernels for CPUs: such a file would be half the size and slower than float32.
    "onnx": Format("onnx", ".onnx", (FLOAT32, DYNAMIC, INT8)),
}


@dataclass(frozen=True)
class Preference:
    """The order in which recipes are tried where ``--quantize`` is not given: the first within tolerance is taken."""

    recipes: tuple[Recipe, ...]
    reason: str | None = None
    """Why, where it is not the default order."""


DEFAULT_PREFERENCE = Preference((INT8, DYNAMIC, FLOAT16, FLOAT32))

PREFERENCES = {
    # MobileNetV3Small on 350 real clips: float32 1.1 ms, dynamic 2.6 ms and 94.0 % agreement, int8 4.1 ms and 89.3 %.
    "mobilenet_v3": Preference(
        (FLOAT16, FLOAT32), "its hard-swish layers split an 8-bit graph, which is then slower and less exact than float"
    ),
    # On 100 real clips int8 agreed in 82.8 %, float16 in all.
    "musicnn": Preference((FLOAT16, FLOAT32), "its spectrogram is part of the graph, and does not survive 8 bits"),
}
"""By prefix of the architecture's name."""


@dataclass(frozen=True)
class Target:
    """One file to export."""

    format: Format
    recipe: Recipe
    input_kind: str = "image"
    """One of :data:`edge_runtime.input_kinds.INPUT_KINDS`."""

    def file(self, folder: Path, name: str) -> Path:
        """Path of the file, e.g. ``demo.int8.tflite`` or ``demo.waveform.int8.tflite``."""
        return folder / f"{self._stem(name)}{self.format.suffix}"

    def failed_file(self, folder: Path, name: str) -> Path:
        """Path of the file if it fails its parity check, e.g. ``demo.int8.FAILED.tflite``."""
        return folder / f"{self._stem(name)}.FAILED{self.format.suffix}"

    def _stem(self, name: str) -> str:
        return ".".join([name, *([] if self.input_kind == "image" else [self.input_kind]), self.recipe.name])

    def __str__(self) -> str:
        kind = "" if self.input_kind == "image" else f"{self.input_kind} "
        return f"{self.format.name} {kind}{self.recipe.name}"


def parse_formats(choice: str) -> list[Format]:
    """The formats that ``--format`` names: one, or ``all``."""
    return list(FORMATS.values()) if choice == "all" else [FORMATS[choice]]


def parse_quantize(values: Iterable[str]) -> list[str]:
    """The values of ``--quantize``, which may be repeated and may hold several values separated by commas.

    Raises
    ------
    TmgcError
        A value is unknown; the message suggests the nearest one.
    """
    known = [recipe.option for recipe in RECIPES] + ["all"]
    options = [option.strip() for value in values for option in value.split(",") if option.strip()]
    for option in options:
        if option not in known:
            nearest = get_close_matches(option, known, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            raise TmgcError(f"--quantize takes {', '.join(known)}: got {option!r}.{hint}")
    return list(dict.fromkeys(options))


def select_targets(formats: Iterable[Format], options: Sequence[str], *, input_kind: str = "image") -> list[Target]:
    """The files that the options ask for, in the order of the report.

    Parameters
    ----------
    formats : iterable of Format
    options : sequence of str
        Of ``--quantize``; ``all`` means every recipe that a format supports.
    input_kind : str
        One of :data:`edge_runtime.input_kinds.INPUT_KINDS`.

    Raises
    ------
    TmgcError
        A format does not support a recipe; the message lists those that it supports.
    """
    targets = []
    for format_ in formats:
        supported = [recipe.option for recipe in format_.recipes]
        for option in options:
            if option != "all" and option not in supported:
                raise TmgcError(f"{format_.name} files can be quantised as {', '.join(supported)}: got {option}")
        chosen = [recipe for recipe in format_.recipes if "all" in options or recipe.option in options]
        targets += [Target(format_, recipe, input_kind) for recipe in chosen]
    return targets


def find_preference(architecture: str) -> Preference:
    """The preference for an architecture, e.g. ``mobilenet_v3_small``."""
    return next((PREFERENCES[prefix] for prefix in PREFERENCES if architecture.startswith(prefix)), DEFAULT_PREFERENCE)


def preferred_targets(format_: Format, preference: Preference, *, input_kind: str = "image") -> list[Target]:
    """The files to try where ``--quantize`` is not given, the most preferred first."""
    return [Target(format_, recipe, input_kind) for recipe in preference.recipes if recipe in format_.recipes]


ONNX_OPSET = 17
"""Default version of the ONNX operator set: every operator used here is stable in it, and each onnxruntime since 1.12
(2022) supports it."""

ONNX_OPSETS = range(13, 19)
"""Supported versions: 13 is the first with per-channel quantisation, 18 the last that tf2onnx writes."""

MAX_CALIBRATION_CLIPS = 5_000
"""The model card names each."""

CALIBRATION_CLIPS = 200
"""Default number of training clips that calibrate int8: see :mod:`export.calibration`."""

BATCHES = ("dynamic", "1")
"""Batch sizes of an ONNX file: any, or one window."""


@dataclass(frozen=True)
class GraphOptions:
    """Properties of the graph that apply to every file of a call."""

    input_kind: str = "image"
    """One of :data:`edge_runtime.input_kinds.INPUT_KINDS`."""
    keep_float: tuple[str, ...] = ()
    """Regular expressions: operators whose name matches one of them are not quantised."""
    batch: str = "dynamic"
    """One of :data:`BATCHES`; ONNX only."""
    opset: int = ONNX_OPSET
    """One of :data:`ONNX_OPSETS`; ONNX only."""

    def __post_init__(self) -> None:
        if self.opset not in ONNX_OPSETS:
            lowest, highest = ONNX_OPSETS[0], ONNX_OPSETS[-1]
            raise TmgcError(f"--opset must lie in {lowest} to {highest}, got {self.opset}: {ONNX_OPSET} is the default")
        if self.batch == "dynamic" and self.input_kind == "waveform":
            raise TmgcError("--batch dynamic is for images: with --input waveform a file takes one window, --batch 1")
        for pattern in self.keep_float:
            _compile(pattern)


def graph_options(
    formats: Iterable[Format], *, input_kind: str, keep_float: Sequence[str], batch: str | None, opset: int | None
) -> GraphOptions:
    """The graph options of a command line, with defaults where an option is missing.

    Raises
    ------
    TmgcError
        No format supports an option, or its value is out of range.
    """
    if "onnx" not in {format_.name for format_ in formats} and (batch or opset is not None):
        option = f"--batch {batch}" if batch else f"--opset {opset}"
        raise TmgcError(
            f"{option} is for onnx files: tflite files take one window and have no opset. Add --format onnx"
        )
    return GraphOptions(
        input_kind=input_kind,
        keep_float=tuple(keep_float),
        batch=batch or ("1" if input_kind == "waveform" else "dynamic"),
        opset=ONNX_OPSET if opset is None else opset,
    )


def match_operators(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names of the operators that match one of the patterns of ``--keep-float``.

    Parameters
    ----------
    patterns : sequence of str
        Regular expressions, searched for anywhere in a name.
    names : sequence of str
        Of all operators.

    Raises
    ------
    TmgcError
        A pattern matches none; the message suggests names.
    """
    for pattern in patterns:
        if not any(_compile(pattern).search(name) for name in names):
            raise TmgcError(f"--keep-float {pattern} matches no operator of the network. {_hint(pattern, names)}")
    return [name for name in names if any(_compile(pattern).search(name) for pattern in patterns)]


def _hint(pattern: str, names: Sequence[str]) -> str:
    """Names of layers that are similar to a pattern, or else the names of operators from all parts of the network."""
    words = {word for name in names for word in re.split(r"[/;:]", name) if re.search("[a-zA-Z]{2}", word)}
    if similar := get_close_matches(pattern, sorted(words), n=3, cutoff=0.6):
        return f"Similar names: {', '.join(similar)}"
    operators = [
        found[0] for name in names if (found := re.match(r"[^/;]*[a-zA-Z][^/;]*(/[^/;]*[a-zA-Z][^/;]*)+", name))
    ]
    examples = dict.fromkeys(operators[index] for index in (0, len(operators) // 2, -1) if operators)
    return f"Names of its operators are, for example: {', '.join(examples)}"


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise TmgcError(f"--keep-float takes a regular expression, got {pattern}: {error}. Correct it") from error
