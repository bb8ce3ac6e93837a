"""Formats, recipes, and what each format can do: the one table that options, names and refusals come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from edge_runtime.errors import TmgcError

ONNX_OPSET = 17
"""Version of the ONNX operators: the first in which every operator used here is settled, known to any onnxruntime since
1.12 (2022)."""


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

PREFERENCE = (INT8, DYNAMIC, FLOAT16, FLOAT32)
"""Which recipe is taken where none is asked for: the first within tolerance."""


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

    def file(self, folder: Path, run: str) -> Path:
        """Where the file stands, e.g. ``demo.int8.tflite``."""
        return folder / f"{run}.{self.recipe.name}{self.format.suffix}"

    def failed_file(self, folder: Path, run: str) -> Path:
        """Where it stands if it missed its tolerances, e.g. ``demo.int8.FAILED.tflite``."""
        return folder / f"{run}.{self.recipe.name}.FAILED{self.format.suffix}"

    def __str__(self) -> str:
        return f"{self.format.name} {self.recipe.name}"


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


def targets_of(formats: Iterable[Format], words: list[str]) -> list[Target]:
    """The files that the options ask for, in the order of the table.

    Parameters
    ----------
    formats : iterable of Format
    words : list of str
        Of ``--quantize``; ``all`` is whatever each format can hold.

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
        targets += [Target(format_, recipe) for recipe in chosen]
    return targets


def preferences_of(format_: Format) -> list[Target]:
    """The recipes to try where none is asked for, the best first."""
    return [Target(format_, recipe) for recipe in PREFERENCE if recipe in format_.recipes]
