"""The accuracy of a case, from the parity check that tmgc-export made of the very same file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.cases import REFERENCE, Case
from benchmarks.documents import from_document
from benchmarks.report import PositiveInt, Quality
from benchmarks.statistics import Fraction, Proportion
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.interpreters import ENGINES
from export.report import read_parity_json
from train.run import Run


@dataclass(frozen=True)
class Parity:
    """The figures of a report in ``parity.json`` that a benchmark needs."""

    sha256: str
    """Of the exported file."""
    engine: str
    """Which ran it."""
    keras_sha256: str
    """Of the network that it was exported from."""
    split: str
    windows: PositiveInt
    songs: PositiveInt
    accuracy_file: Fraction
    accuracy_keras: Fraction
    top1_agreement: Fraction


def read_parity(run: Run) -> list[Parity]:
    """The figures of a run's parity checks; none where nothing has been exported, or where songs had no labels.

    Raises
    ------
    TmgcError
        ``parity.json`` is damaged, of another schema, or lacks a figure.
    """
    found = []
    for report in read_parity_json(run.parity_json):
        try:
            found += [
                from_document(Parity, {item.name: each[item.name] for item in fields(Parity) if item.name in each})
                for each in _figures(report)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise TmgcError(
                f"{run.parity_json} must hold parity reports and cannot be read ({first_line(error)}): delete it, and "
                "export again with --force"
            ) from error
    return found


def _figures(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The figures of a report with each engine; none with one that did not run the file, or without labels."""
    parity, accuracy = report["parity"], report["parity"]["accuracy"]
    if accuracy is None:
        return
    suffix = Path(report["file"]).suffix
    preferred = next((name for name, engine in ENGINES.items() if engine.suffix == suffix), None)
    yield {**report, **parity, **accuracy, "engine": preferred}
    for engine, other in parity.get("other_engines", {}).items():
        if "accuracy" in other:
            yield {**report, **other, **accuracy, "engine": engine, "accuracy_file": other["accuracy"]["file"]}


def _is_of(parity: Parity, case: Case, sha256: str) -> bool:
    if case.is_export:
        return (parity.sha256, parity.engine) == (sha256, case.engine)
    return parity.keras_sha256 == sha256


def quality_of(case: Case, sha256: str, parity: Sequence[Parity]) -> Quality | None:
    """Accuracy, and agreement with Keras, on the held-out split.

    Windows of a song are alike, so each 95 % interval counts a song as one trial.

    Parameters
    ----------
    case : Case
    sha256 : str
        Of its model: a report about another file of the same name does not count.
    parity : sequence of Parity

    Returns
    -------
    quality : Quality or None
        None for the reference, whose images differ from those that the network was trained on, for an engine that did
        not run the file in its parity check, and for files without one.
    """
    found = next((each for each in parity if _is_of(each, case, sha256)), None)
    if found is None or case.pipeline == REFERENCE:
        return None
    accuracy = found.accuracy_file if case.is_export else found.accuracy_keras
    return Quality(
        split=found.split,
        windows=found.windows,
        songs=found.songs,
        accuracy=Proportion.of(accuracy, trials=found.songs),
        agreement=Proportion.of(found.top1_agreement, trials=found.songs) if case.is_export else None,
    )
