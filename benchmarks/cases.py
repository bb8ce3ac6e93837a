"""Which rows a benchmark of a run has: the original, Keras in two ways, every export, and the packaged model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import SUFFIXES
from edge_runtime.models import SMALL_MODEL
from train.run import Run

ORIGINAL = "original"
KERAS_PREDICT = "keras-predict"
KERAS_COMPILED = "keras-compiled"
EXPORT = "export"
TFLITE_RUNTIME = "tflite-runtime"
"""An export again, by the interpreter that came before LiteRT."""
PACKAGED = "small"
"""The model that ``edge_runtime`` brings along."""

OF_THE_NETWORK = (ORIGINAL, KERAS_PREDICT, KERAS_COMPILED)
"""Rows that run ``model.keras`` itself."""

QUICK = (ORIGINAL, KERAS_PREDICT, "tflite-dynamic", "tflite-int8", "onnx-int8")
"""The rows of ``--quick``."""

_RECIPES = ("float32", "float16", "dynamic", "int8")


@dataclass(frozen=True)
class RowSpec:
    """One way from two seconds of sound to an answer."""

    name: str
    """``original``, ``keras-predict``, or format and recipe of an export: ``tflite-int8``, ``tflite-waveform-int8``."""
    pipeline: str
    """:data:`ORIGINAL`, :data:`KERAS_PREDICT`, :data:`KERAS_COMPILED`, :data:`EXPORT`, :data:`TFLITE_RUNTIME` or
    :data:`PACKAGED`."""
    model: Path
    card: Path
    """The card that stands beside ``model.keras``; an export carries its own."""

    @property
    def is_export(self) -> bool:
        """Whether it runs a file for the edge."""
        return self.pipeline not in OF_THE_NETWORK

    @property
    def recipe(self) -> str:
        """How the weights are kept: ``float32`` for the trained network."""
        return _recipe(self.model) if self.is_export else "float32"

    @property
    def file(self) -> str:
        """The file as a report names it: what the package brings along without where that is installed."""
        return "/".join(self.model.parts[-3:]) if self.pipeline == PACKAGED else str(self.model)

    @property
    def takes_waveform(self) -> bool:
        """Whether its file draws the spectrogram itself."""
        return _takes_waveform(self.model)

    def to_json(self) -> dict[str, Any]:
        """The row as its process is told of it."""
        return {"name": self.name, "pipeline": self.pipeline, "model": str(self.model), "card": str(self.card)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> RowSpec:
        """The row of such a document."""
        return cls(document["name"], document["pipeline"], Path(document["model"]), Path(document["card"]))


def rows_of(run: Run) -> tuple[list[RowSpec], list[str]]:
    """Every row that a run allows, and a line about each that is left out.

    Exports that failed their parity check (``.FAILED.`` in the name) are left out: a wrong answer is not a fast one.
    """
    files = _models_in(run.exports)
    left_out = [f"{path} failed its parity check and is left out" for path in files if ".FAILED." in path.name]
    sound = [path for path in files if ".FAILED." not in path.name]
    names = Counter(map(_name, sound))
    rows = [RowSpec(name, name, run.model, run.card_json) for name in OF_THE_NETWORK]
    for path in sound:
        unique = names[_name(path)] == 1 or path.name.startswith(f"{run.name}.")
        rows.append(RowSpec(_name(path) if unique else path.name, EXPORT, path, run.card_json))
    if find_spec("tflite_runtime") is None:
        left_out.append("tflite-runtime is not installed: its rows are left out")
    else:
        rows += [_by_tflite_runtime(row) for row in rows if row.model.suffix == ".tflite"]
    rows.append(RowSpec(f"{PACKAGED}-{_name(SMALL_MODEL)}", PACKAGED, SMALL_MODEL, run.card_json))
    return rows, left_out


def _models_in(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("*") if path.suffix in SUFFIXES), key=_order)


def _by_tflite_runtime(row: RowSpec) -> RowSpec:
    return replace(row, name=f"{TFLITE_RUNTIME}-{row.name.removeprefix('tflite-')}", pipeline=TFLITE_RUNTIME)


def select_rows(rows: Sequence[RowSpec], run: Run, *, only: Sequence[str] = (), quick: bool = False) -> list[RowSpec]:
    """The rows that were asked for, in the order of ``rows``.

    Parameters
    ----------
    rows : sequence of RowSpec
    run : Run
    only : sequence of str
        Names of rows, or what stands before the first hyphen of some: ``tflite`` for all of its recipes.
    quick : bool
        Where ``only`` names none: those of :data:`QUICK`.

    Raises
    ------
    TmgcError
        A name is no row of this run, or the run has no exports and none but them make a comparison.
    """
    unknown = [name for name in only if not any(_is(row, name) for row in rows)]
    if unknown:
        known = [row.name for row in rows]
        near = get_close_matches(unknown[0], known, n=1, cutoff=0.0)
        raise TmgcError(
            f"a row must be one of {', '.join(known)}: got {unknown[0]!r}. Did you mean {near[0]}? An export that is "
            f"missing is made by: tmgc-export {run.folder}"
        )
    if only:
        return [row for row in rows if any(_is(row, name) for name in only)]
    if not any(row.pipeline == EXPORT for row in rows):
        raise TmgcError(
            f"a benchmark needs an export to compare: none in {run.exports}. Run: tmgc-export {run.folder}, or name "
            f"the rows that need none: --only {ORIGINAL},{KERAS_PREDICT}"
        )
    return [row for row in rows if row.name in QUICK] if quick else list(rows)


def _is(row: RowSpec, name: str) -> bool:
    return name in (row.name, row.name.split("-")[0])


def _name(path: Path) -> str:
    """``tflite-int8``; a file that takes the waveform says so: ``tflite-waveform-int8``."""
    waveform = "waveform-" if _takes_waveform(path) else ""
    return f"{path.suffix[1:]}-{waveform}{_recipe(path)}"


def _order(path: Path) -> tuple[int, bool, int, str]:
    recipe = _recipe(path)
    place = _RECIPES.index(recipe) if recipe in _RECIPES else len(_RECIPES)
    return SUFFIXES.index(path.suffix), _takes_waveform(path), place, path.name


def _takes_waveform(path: Path) -> bool:
    return path.stem.endswith(f".waveform.{_recipe(path)}")


def _recipe(path: Path) -> str:
    return path.stem.rpartition(".")[2]
