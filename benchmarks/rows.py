"""Which rows a benchmark of a run has: the original, Keras ``predict``, and every export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import SUFFIXES
from train.run import Run

ORIGINAL = "original"
KERAS_PREDICT = "keras-predict"

QUICK = (ORIGINAL, KERAS_PREDICT, "tflite-dynamic", "tflite-int8", "onnx-dynamic", "onnx-int8")
"""The rows of ``--quick``."""

_RECIPES = ("float32", "float16", "dynamic", "int8")


@dataclass(frozen=True)
class RowSpec:
    """One way from two seconds of sound to an answer."""

    name: str
    """``original``, ``keras-predict``, or format and recipe of an export: ``tflite-int8``."""
    pipeline: str
    """``original``, ``keras-predict`` or ``export``."""
    model: Path
    card: Path
    """The card that stands beside ``model.keras``; an export carries its own."""

    def to_json(self) -> dict[str, Any]:
        """The row as its process is told of it."""
        return {"name": self.name, "pipeline": self.pipeline, "model": str(self.model), "card": str(self.card)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> RowSpec:
        """The row of such a document."""
        return cls(document["name"], document["pipeline"], Path(document["model"]), Path(document["card"]))


def rows_of(run: Run) -> tuple[list[RowSpec], list[str]]:
    """Every row that a run allows, and a line about each export that is left out.

    Exports that failed their parity check (``.FAILED.`` in the name) are left out: a wrong answer is not a fast one.
    """
    files = sorted(path for path in run.exports.glob("*") if path.suffix in SUFFIXES)
    left_out = [f"{path} failed its parity check and is left out" for path in files if ".FAILED." in path.name]
    sound = sorted((path for path in files if ".FAILED." not in path.name), key=_order)
    names = Counter(map(_name, sound))
    rows = [RowSpec(name, name, run.model, run.card_json) for name in (ORIGINAL, KERAS_PREDICT)]
    for path in sound:
        unique = names[_name(path)] == 1 or path.stem.rpartition(".")[0] == run.name
        rows.append(RowSpec(_name(path) if unique else path.name, "export", path, run.card_json))
    return rows, left_out


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
    if not any(row.pipeline == "export" for row in rows):
        raise TmgcError(
            f"a benchmark needs an export to compare: none in {run.exports}. Run: tmgc-export {run.folder}, or name "
            f"the rows that need none: --only {ORIGINAL},{KERAS_PREDICT}"
        )
    return [row for row in rows if row.name in QUICK] if quick else list(rows)


def _is(row: RowSpec, name: str) -> bool:
    return name in (row.name, row.name.split("-")[0])


def _name(path: Path) -> str:
    return f"{path.suffix[1:]}-{_recipe(path)}"


def _order(path: Path) -> tuple[int, int, str]:
    recipe = _recipe(path)
    return SUFFIXES.index(path.suffix), _RECIPES.index(recipe) if recipe in _RECIPES else len(_RECIPES), path.name


def _recipe(path: Path) -> str:
    return path.stem.rpartition(".")[2]
