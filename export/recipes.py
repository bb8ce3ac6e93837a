"""Formats, recipes, and what each format can do: the one table that options, names and refusals come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    takes: str = "picture"
    """``picture`` or ``waveform``, as in the model card."""

    def file(self, folder: Path, name: str) -> Path:
        """Where the file stands, e.g. ``demo.int8.tflite`` or ``demo.waveform.int8.tflite``."""
        return folder / f"{self._stem(name)}{self.format.suffix}"

    def failed_file(self, folder: Path, name: str) -> Path:
        """Where it stands if it missed its tolerances, e.g. ``demo.int8.FAILED.tflite``."""
        return folder / f"{self._stem(name)}.FAILED{self.format.suffix}"

    def _stem(self, name: str) -> str:
        return ".".join([name, *([] if self.takes == "picture" else [self.takes]), self.recipe.name])

    def __str__(self) -> str:
        kind = "" if self.takes == "picture" else f"{self.takes} "
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


def targets_of(formats: Iterable[Format], words: Sequence[str], *, takes: str = "picture") -> list[Target]:
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
        targets += [Target(format_, recipe, takes) for recipe in chosen]
    return targets


def preference_of(architecture: str) -> Preference:
    """What is preferred for a network, e.g. ``mobilenet_v3_small``."""
    return next((PREFERENCES[begin] for begin in PREFERENCES if architecture.startswith(begin)), USUAL)


def preferred_targets(format_: Format, preference: Preference, *, takes: str = "picture") -> list[Target]:
    """The files to try where no recipe is asked for, the best first."""
    return [Target(format_, recipe, takes) for recipe in preference.recipes if recipe in format_.recipes]
