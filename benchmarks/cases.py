"""The cases of a benchmark: the reference pipeline, Keras in two ways, every export, and the packaged model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal, cast

from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL
from edge_runtime.input_kinds import INPUT_KINDS
from edge_runtime.interpreters import ENGINES, SUFFIXES, first_engine, installed_engines
from edge_runtime.model_file import read_card
from edge_runtime.models import SMALL_MODEL
from train.run import Run

PipelineName = Literal["reference", "keras-predict", "keras-compiled", "export", "packaged"]
Format = Literal["keras", "tflite", "onnx"]
InputKind = Literal["image", "waveform"]

REFERENCE: Final = "reference"
"""What the project replaces: librosa, a matplotlib figure, Keras ``predict``."""
KERAS_PREDICT: Final = "keras-predict"
KERAS_COMPILED: Final = "keras-compiled"
EXPORT: Final = "export"
PACKAGED: Final = "packaged"
"""The model that ``edge_runtime`` brings along: its cases are named ``small-...``."""

KERAS_PIPELINES: tuple[PipelineName, ...] = (REFERENCE, KERAS_PREDICT, KERAS_COMPILED)
"""Pipelines that run ``model.keras`` itself."""

QUICK = (REFERENCE, KERAS_PREDICT, "tflite-dynamic", "tflite-int8", "onnx-int8")
"""The cases of ``--quick``."""

_RECIPES = ("float32", "float16", "dynamic", "int8")


@dataclass(frozen=True)
class Case:
    """One way from two seconds of audio to a prediction."""

    name: str
    """``reference``, ``keras-predict``, or format, input kind and recipe: ``tflite-int8``, ``tflite-waveform-int8``; an
    engine other than the preferred one stands for the format: ``openvino-int8``."""
    pipeline: PipelineName
    model: Path
    card: Path
    """The card beside ``model.keras``; an export carries its own."""
    format: Format = "keras"
    recipe: str = "float32"
    """How the file keeps its weights."""
    input_kind: InputKind = "image"
    """``image``, or ``waveform`` for a file that computes the spectrogram itself."""
    engine: str | None = None
    """The library that runs an export: one of :data:`edge_runtime.interpreters.ENGINES`."""

    @property
    def is_export(self) -> bool:
        """Whether it runs a file for the edge."""
        return self.pipeline not in KERAS_PIPELINES

    @property
    def file(self) -> str:
        """The file as a report names it: the packaged model without the folder that it is installed in."""
        return "/".join(self.model.parts[-3:]) if self.pipeline == PACKAGED else str(self.model)


def find_cases(run: Run) -> tuple[list[Case], list[str]]:
    """Every case that a run allows, and a line about each that is left out.

    Format, recipe and input kind of an export come from its model card. Exports that failed their parity check
    (``.FAILED.`` in the name), or with an engine, and files without a readable card are left out.

    Parameters
    ----------
    run : Run
    """
    exports, left_out = find_exports(run)
    cases = [Case(pipeline, pipeline, run.model, run.card_json) for pipeline in KERAS_PIPELINES]
    cases += exports
    for case in exports:
        failed = read_card(case.model).failed_engines
        others = installed_engines(case.model)[1:]
        cases += [_with_engine(case, engine) for engine in others if engine not in failed]
        left_out += [
            f"{case.model} failed its parity check with {engine}: this case is left out"
            for engine in others
            if engine in failed
        ]
    left_out += [
        f"{name} is not installed: its cases are left out"
        for name, engine in ENGINES.items()
        if not (engine.installed or engine.last_resort)
    ]
    packaged = export_case(SMALL_MODEL, run, pipeline=PACKAGED)
    return [*cases, replace(packaged, name=f"small-{packaged.name}")], left_out


def select_cases(cases: Sequence[Case], run: Run, *, only: Sequence[str] = (), quick: bool = False) -> list[Case]:
    """The cases that were asked for, in the order of ``cases``.

    Parameters
    ----------
    cases : sequence of Case
    run : Run
    only : sequence of str
        Names of cases, or the part before the first hyphen of some: ``tflite`` for all of its recipes.
    quick : bool
        Without ``only``: those of :data:`QUICK`.

    Raises
    ------
    TmgcError
        A name is no case of this run, or the run has no exports and ``only`` is empty.
    """
    unknown = [name for name in only if not any(_matches(case, name) for case in cases)]
    if unknown:
        known = [case.name for case in cases]
        near = get_close_matches(unknown[0], known, n=1, cutoff=0.0)
        raise TmgcError(
            f"a case must be one of {', '.join(known)}: got {unknown[0]!r}. Did you mean {near[0]}? Make an export "
            f"that is missing with: tmgc-export {run.folder}"
        )
    if only:
        return [case for case in cases if any(_matches(case, name) for name in only)]
    if not any(case.pipeline == EXPORT for case in cases):
        raise TmgcError(
            f"a benchmark needs an export to compare: none in {run.exports}. Run: tmgc-export {run.folder}, or name "
            f"cases that need none: --only {REFERENCE},{KERAS_PREDICT}"
        )
    return [case for case in cases if case.name in QUICK] if quick else list(cases)


def find_exports(run: Run) -> tuple[list[Case], list[str]]:
    """Each export with its preferred engine, by format, input kind and recipe, and a line about each file that is none.

    Parameters
    ----------
    run : Run
    """
    cases, left_out = [], []
    files = (path for path in run.exports.glob("*") if path.suffix in SUFFIXES and not path.name.startswith(PARTIAL))
    for path in sorted(files):
        if ".FAILED." in path.name:
            left_out.append(f"{path} failed its parity check and is left out")
            continue
        try:
            cases.append(export_case(path, run))
        except TmgcError as error:
            left_out.append(f"{path.name} is left out: {error}")
    return _with_unique_names(sorted(cases, key=_order), run), left_out


def _with_unique_names(cases: Sequence[Case], run: Run) -> list[Case]:
    """Of cases that share a name, only the file that tmgc-export names so keeps it; others get that of their file."""
    names = Counter(case.name for case in cases)

    def unique(case: Case) -> bool:
        infix = "" if case.input_kind == "image" else f"{case.input_kind}."
        return names[case.name] == 1 or case.model.name == f"{run.name}.{infix}{case.recipe}.{case.format}"

    return [case if unique(case) else replace(case, name=case.model.name) for case in cases]


def export_case(model: Path, run: Run, *, pipeline: PipelineName = EXPORT) -> Case:
    """The case of an exported file.

    Parameters
    ----------
    model : Path
    run : Run
        From which it was exported.
    pipeline : str

    Raises
    ------
    TmgcError
        It has no readable card, or one that does not name its recipe.
    """
    card = read_card(model)
    form, recipe = cast(Format, model.suffix[1:]), card.export.get("recipe")
    input_kind = cast(InputKind, card.input_kind)
    if not isinstance(recipe, str):
        raise TmgcError(f"the card of an export names its recipe: that of {model} does not. Export it with tmgc-export")
    infix = "" if input_kind == "image" else f"{input_kind}-"
    engine = first_engine(model)
    return Case(f"{form}-{infix}{recipe}", pipeline, model, run.card_json, form, recipe, input_kind, engine)


def _order(case: Case) -> tuple[int, int, int, str]:
    recipe = _RECIPES.index(case.recipe) if case.recipe in _RECIPES else len(_RECIPES)
    return SUFFIXES.index(case.model.suffix), INPUT_KINDS.index(case.input_kind), recipe, case.model.name


def _with_engine(case: Case, engine: str) -> Case:
    return replace(case, name=f"{engine}-{case.name.removeprefix(f'{case.format}-')}", engine=engine)


def _matches(case: Case, name: str) -> bool:
    return name in (case.name, case.name.split("-")[0])
