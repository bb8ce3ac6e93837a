"""How far an exported file may be from Keras, and why: the command and its tests hold the same numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from edge_runtime.errors import TmgcError


@dataclass(frozen=True)
class Recipe:
    """How the numbers of a network are kept in a file."""

    name: str
    """As it stands in file names and cards."""
    word: str
    """As ``--quantize`` calls it."""
    meaning: str
    calibrated: bool = False
    """Needs pictures to find the ranges of the activations."""


FLOAT32 = Recipe("float32", "none", "weights and activations in float32")
FLOAT16 = Recipe("float16", "float16", "weights in float16, computed in float32: half the size")
DYNAMIC = Recipe("dynamic", "dynamic", "weights in int8, activations quantised as they come: a quarter of the size")
INT8 = Recipe(
    "int8", "int8", "weights and activations in int8: a quarter of the size, and the fastest", calibrated=True
)

RECIPES = (FLOAT32, FLOAT16, DYNAMIC, INT8)


@dataclass(frozen=True)
class Preference:
    """Which recipe is taken where none is asked for: the first within tolerance."""

    recipes: tuple[Recipe, ...]
    reason: str | None = None
    """Why these, where they are not the usual ones."""


USUAL = Preference((INT8, DYNAMIC, FLOAT16, FLOAT32))

PREFERENCES = {
    # MobileNetV3Small on 350 real clips: float32 1.1 ms, dynamic 2.6 ms and 94.0 % agreement, int8 4.1 ms and 89.3 %.
    "mobilenet_v3": Preference(
        (FLOAT16, FLOAT32), "its hard-swish layers split an 8-bit graph, which is then slower than float and less exact"
    ),
}
"""By what the architecture's name begins with."""


@dataclass(frozen=True)
class Format:
    """A kind of model file."""

    name: str
    suffix: str
    recipes: tuple[Recipe, ...]
    """What it can hold."""


FORMATS = {
    "tflite": Format("tflite", ".tflite", (FLOAT32, FLOAT16, DYNAMIC, INT8)),
    # ONNX Runtime has no float16 kernels on processors: such a file would be half the size and slower than float32.
    "onnx": Format("onnx", ".onnx", (FLOAT32, DYNAMIC, INT8)),
}


@dataclass(frozen=True)
class Target:
    """One file to make."""

    format: Format
    recipe: Recipe
    input_kind: str = "image"
    """``picture`` or ``waveform``, as in the model card."""

    def file(self, folder: Path, name: str) -> Path:
        """Where the file stands, e.g. ``demo.int8.tflite`` or ``demo.waveform.int8.tflite``."""
        return folder / f"{self._stem(name)}{self.format.suffix}"

    def failed_file(self, folder: Path, name: str) -> Path:
        """Where it stands if it missed its tolerances, e.g. ``demo.int8.FAILED.tflite``."""
        return folder / f"{self._stem(name)}.FAILED{self.format.suffix}"

    def _stem(self, name: str) -> str:
        return ".".join([name, *([] if self.input_kind == "image" else [self.input_kind]), self.recipe.name])

    def __str__(self) -> str:
        kind = "" if self.input_kind == "image" else f"{self.input_kind} "
        return f"{self.format.name} {kind}{self.recipe.name}"


def formats_of(choice: str) -> list[Format]:
    """The formats that ``--format`` asks for: one, or ``all``."""
    return list(FORMATS.values()) if choice == "all" else [FORMATS[choice]]


def words_of(values: Iterable[str]) -> list[str]:
    """The words of ``--quantize``, which may be repeated and may hold several with commas between.

    Raises
    ------
    TmgcError
        A word is none of those known; the message names the nearest.
    """
    known = [recipe.word for recipe in RECIPES] + ["all"]
    words = [word.strip() for value in values for word in value.split(",") if word.strip()]
    for word in words:
        if word not in known:
            nearest = get_close_matches(word, known, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            raise TmgcError(f"--quantize takes {', '.join(known)}: got {word!r}.{hint}")
    return list(dict.fromkeys(words))


def targets_of(formats: Iterable[Format], words: Sequence[str], *, input_kind: str = "image") -> list[Target]:
    """The files that the options ask for, in the order of the table.

    Parameters
    ----------
    formats : iterable of Format
    words : sequence of str
        Of ``--quantize``; ``all`` is whatever each format can hold.
    takes : str
        ``picture`` or ``waveform``.

    Raises
    ------
    TmgcError
        A format cannot honour a recipe; the message lists what it can.
    """
    targets = []
    for format_ in formats:
        able = [recipe.word for recipe in format_.recipes]
        for word in words:
            if word != "all" and word not in able:
                raise TmgcError(f"{format_.name} files can be quantised as {', '.join(able)}: got {word}")
        chosen = [recipe for recipe in format_.recipes if "all" in words or recipe.word in words]
        targets += [Target(format_, recipe, input_kind) for recipe in chosen]
    return targets


def preference_of(architecture: str) -> Preference:
    """What is preferred for a network, e.g. ``mobilenet_v3_small``."""
    return next((PREFERENCES[begin] for begin in PREFERENCES if architecture.startswith(begin)), USUAL)


def preferred_targets(format_: Format, preference: Preference, *, input_kind: str = "image") -> list[Target]:
    """The files to try where no recipe is asked for, the best first."""
    return [Target(format_, recipe, input_kind) for recipe in preference.recipes if recipe in format_.recipes]


ONNX_OPSET = 17
"""Version of the ONNX operators: the first in which every operator used here is settled, known to any onnxruntime since
1.12 (2022)."""

ONNX_OPSETS = range(13, 19)
"""Versions that can be asked for: 13 is the first that quantises per channel, 18 the last that tf2onnx writes."""

BATCHES = ("dynamic", "1")
"""Windows that an ONNX file takes at a time: any number, or one."""


@dataclass(frozen=True)
class GraphOptions:
    """What a graph is to be like."""

    input_kind: str = "image"
    """``picture`` or ``waveform``, as in the model card."""
    keep_float: tuple[str, ...] = ()
    """Regular expressions: operators whose name fits one of them are not quantised."""
    batch: str = "dynamic"
    """One of :data:`BATCHES`; of ONNX files only."""
    opset: int = ONNX_OPSET
    """One of :data:`ONNX_OPSETS`; of ONNX files only."""

    def __post_init__(self) -> None:
        if self.opset not in ONNX_OPSETS:
            lowest, highest = ONNX_OPSETS[0], ONNX_OPSETS[-1]
            raise TmgcError(f"--opset must lie in {lowest} to {highest}, got {self.opset}: {ONNX_OPSET} is the default")
        if self.batch == "dynamic" and self.input_kind == "waveform":
            raise TmgcError("--batch dynamic is for pictures: with --input waveform a file takes one window, --batch 1")
        for pattern in self.keep_float:
            _compiled(pattern)


def graph_options(
    formats: Iterable[Format], *, input_kind: str, keep_float: Sequence[str], batch: str | None, opset: int | None
) -> GraphOptions:
    """The options of a command, with what was not given filled in.

    Raises
    ------
    TmgcError
        None of the formats can honour an option, or its value makes no sense.
    """
    if "onnx" not in {format_.name for format_ in formats} and (batch or opset is not None):
        what = f"--batch {batch}" if batch else f"--opset {opset}"
        raise TmgcError(f"{what} is for onnx files: tflite files take one window and have no opset. Add --format onnx")
    return GraphOptions(
        input_kind=input_kind,
        keep_float=tuple(keep_float),
        batch=batch or ("1" if input_kind == "waveform" else "dynamic"),
        opset=ONNX_OPSET if opset is None else opset,
    )


def kept_float(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names of operators that one of the patterns fits.

    Parameters
    ----------
    patterns : sequence of str
        Regular expressions, that fit anywhere in a name.
    names : sequence of str
        Of all operators.

    Raises
    ------
    TmgcError
        A pattern fits none; the message says which names are near.
    """
    for pattern in patterns:
        if not any(_compiled(pattern).search(name) for name in names):
            words = sorted({word for name in names for word in re.split(r"[/;:]", name)})
            near = get_close_matches(pattern, words, n=3, cutoff=0.3) or words[:3]
            raise TmgcError(f"--keep-float {pattern} fits no operator of the network. Near it: {', '.join(near)}")
    return [name for name in names if any(_compiled(pattern).search(name) for pattern in patterns)]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise TmgcError(f"--keep-float takes a regular expression, got {pattern}: {error}. Correct it") from error


@dataclass(frozen=True)
class Tolerance:
    """What a recipe may change."""

    top1_agreement: float
    """Least share of windows with the same best genre, in [0, 1]."""
    probability_difference: float | None = None
    """Most that any probability may move; ``None`` where quantisation makes it no measure of harm."""


TOLERANCES = {
    # The same numbers in another order of summing: what is left is rounding, about 1e-6 in InceptionResNetV2.
    FLOAT32.name: Tolerance(top1_agreement=1.0, probability_difference=1e-4),
    # Weights keep 11 bits, an error of 5e-4 of each weight, which 245 layers partly average out.
    FLOAT16.name: Tolerance(top1_agreement=0.995, probability_difference=1e-2),
    # Weights keep 8 bits and activations 8 bits of their own range. On 149 held-out clips of real music a network that
    # had been fine-tuned agreed in 99.3 %, and one that had not in 90.6 %: 98 % tells the two apart.
    DYNAMIC.name: Tolerance(top1_agreement=0.98),
    # Activations keep 8 bits of a range that was fixed beforehand: 97.3 % against 9 % to 13 % on the same clips.
    INT8.name: Tolerance(top1_agreement=0.97),
}
"""By the recipe's name."""

WAVEFORM_PROBABILITY_DIFFERENCE = 1e-2
"""What any file that takes the sound itself may move a probability. Its spectrogram is summed in another order than the
one that Keras was shown, so a pixel in some 50 000 lies on the other side of a half and is rounded by one step
otherwise. That moved one of 720 windows of InceptionResNetV2 by 2.9e-3, with a mean divergence of 5e-8 nats."""


def tolerance_of(recipe: str, input_kind: str) -> Tolerance:
    """What a file may change.

    Parameters
    ----------
    recipe : str
        Its name.
    takes : str
        ``picture`` or ``waveform``.
    """
    tolerance = TOLERANCES[recipe]
    if input_kind == "image" or tolerance.probability_difference is None:
        return tolerance
    most = max(tolerance.probability_difference, WAVEFORM_PROBABILITY_DIFFERENCE)
    return replace(tolerance, probability_difference=most)


UNDECIDED_MARGIN = 0.05
"""Where Keras' own best two genres are closer than this, it has not decided, and another answer is no disagreement."""

ACCURACY_LOSS = 0.01
"""Most of its accuracy that an export may lose, whether or not the paired test can tell the loss from chance."""

SIGNIFICANCE = 0.05
"""A paired test whose p-value is below this calls a loss real."""

PARITY_WINDOWS = 500
"""Windows to compare at least. With none of 500 in disagreement, fewer than 0.6 % are in truth (95 % confidence)."""

MOST_PARITY_WINDOWS = 1000
"""Windows to compare at most: beyond it the interval shrinks slower than the time grows."""
