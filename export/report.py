"""Reports: ``parity.json`` and the parity table of an export, and the document of ``tmgc-export inspect``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.engine_choice import open_by_first_engine
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.interpreters import Interpreter, TensorInfo
from edge_runtime.interpreters.litert import LiteRTInterpreter
from edge_runtime.terminal import printable
from export.metadata import graph_facts

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 3
"""Version of ``parity.json`` and of the JSON documents of ``tmgc-export``."""


def add_to_parity_json(path: Path, report: Mapping[str, Any], *, replaces: Sequence[Path]) -> None:
    """Put the report of one file into ``parity.json``; the reports of other files stay.

    Files are recorded by their path relative to the folder of ``parity.json``, or by their absolute path where they
    are outside of it, so that one file has one entry however its path was given.

    Parameters
    ----------
    path : Path
    report : dict
        With the path of its file as ``file``.
    replaces : sequence of Path
        Paths that the file of the same target may have.

    Raises
    ------
    TmgcError
        ``parity.json`` is damaged.
    """
    replaced = {_recorded_path(path, each) for each in replaces}
    kept = [other for other in read_parity_json(path) if other["file"] not in replaced]
    recorded = {**report, "file": _recorded_path(path, Path(report["file"]))}
    with atomic_write(path) as partial:
        document = {"schema": SCHEMA, "reports": [*kept, recorded]}
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _recorded_path(parity_json: Path, file: Path) -> str:
    folder, resolved = parity_json.parent.resolve(), file.resolve()
    return (resolved.relative_to(folder) if resolved.is_relative_to(folder) else resolved).as_posix()


def read_parity_json(path: Path) -> list[dict[str, Any]]:
    """The reports of a run's exports; none where nothing has been exported.

    Raises
    ------
    TmgcError
        The file is damaged, or of another schema.
    """
    if not path.exists():
        return []
    try:
        document = json.loads(path.read_text("utf-8"))
        schema, reports = document["schema"], document["reports"]
        if schema == SCHEMA:
            _check_reports(reports)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise TmgcError(
            f"{path} must hold parity reports and cannot be read ({first_line(error)}): delete it, and export again "
            "with --force"
        ) from error
    if schema != SCHEMA:
        raise TmgcError(
            f"{path}: reports of schema {SCHEMA} are needed, got {schema}: delete it, and export again with --force; "
            "or, if it is of a newer version, update tmgc"
        )
    return list(reports)


def _check_reports(reports: Any) -> None:
    if not isinstance(reports, list):
        raise TypeError("reports must be a list")
    for report in reports:
        if not all(isinstance(report[name], str) for name in ("file", "sha256", "keras_sha256")):
            raise TypeError("file, sha256 and keras_sha256 of a report must be text")
        if not isinstance(report["parity"], dict):
            raise TypeError("parity of a report must be an object")


def write_checksum(path: Path) -> str:
    """Write a file's SHA-256 beside it, for ``sha256sum -c``, and return it."""
    sha256 = sha256_of(path)
    with atomic_write(_checksum_file(path)) as partial:
        partial.write_text(f"{sha256}  {path.name}\n", "utf-8")
    return sha256


def remove_with_checksum(path: Path) -> None:
    """Remove a file of an earlier export, and its SHA-256."""
    path.unlink(missing_ok=True)
    _checksum_file(path).unlink(missing_ok=True)


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def parity_table(reports: Sequence[Mapping[str, Any]]) -> Table:
    """The reports as a table, one row a file, at most 80 columns wide."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(_title(reports)), title_justify="left", box=SIMPLE, pad_edge=False)
    table.add_column("file", overflow="fold")
    for heading in ("MB", "ratio", "agree", "max Δp", "accuracy", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("parity", no_wrap=True)
    for report in reports:
        parity = report["parity"]
        accuracy = parity["accuracy"] and parity["accuracy"]["accuracy_file"]
        size = f"{report['size_bytes'] / 1e6:.1f}", f"{report['size_ratio']:.0%}"
        seconds = f"{report['export_seconds']:.0f}"
        table.add_row(Text(printable(Path(report["file"]).name)), *size, *_figures(parity, accuracy, seconds))
        for engine, other in parity["other_engines"].items():
            accuracy = other.get("accuracy") and other["accuracy"]["file"]
            table.add_row(Text(f"  with {engine}"), "", "", *_figures(other, accuracy, ""))
    return table


def _figures(parity: Mapping[str, Any], accuracy: float | None, seconds: str) -> tuple[str, ...]:
    """The cells of a comparison, which lacks figures where the file did not run."""
    agreement, difference = parity.get("top1_agreement"), parity.get("max_probability_difference")
    return (
        "" if agreement is None else f"{agreement:.1%}",
        "" if difference is None else f"{difference:.1e}",
        "" if accuracy is None else f"{accuracy:.1%}",
        seconds,
        "passed" if parity["passed"] else "FAILED",
    )


def _title(reports: Sequence[Mapping[str, Any]]) -> str:
    parity = reports[0]["parity"]
    accuracy = "no labels, so no accuracy"
    if parity["accuracy"]:
        accuracy = f"accuracy of Keras {parity['accuracy']['accuracy_keras'] * 100:.1f} %"
    return (
        f"Compared with Keras on {parity['windows']} windows of the {parity['split']} split of "
        f"{printable(reports[0]['compared_on'])}\n({parity['clips']} clips of {parity['songs']} songs), "
        f"a window every {parity['hop_seconds']} s; {accuracy}"
        f"\n{reports[0]['macs'] / 1e6:,.0f} million multiplications a window; "
        f"peak memory {max(report['peak_memory_mb'] for report in reports) / 1e3:.1f} GB"
    )


def parity_notes(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines below the table: the failures of each file, with its worst clips, and the engines that must not run it."""
    lines = []
    for report in reports:
        parity = report["parity"]
        lines += [f"{report['file']}: {failure}" for failure in parity["failures"]]
        if not parity["passed"]:
            lines.append(f"{report['file']}: worst clips: {', '.join(parity['worst_clips'])}")
        lines += [
            f"{report['file']} must not be run by {engine}: {failure}"
            for engine, other in parity["other_engines"].items()
            for failure in other["failures"]
        ]
    return lines


def inspect_file(file: Path) -> dict[str, Any]:
    """Card, input, output, operators and weights of an exported file. No heavy library is imported.

    Parameters
    ----------
    file : Path
        A ``.tflite`` or ``.onnx`` file.

    Returns
    -------
    document : dict
        ``delegation`` is ``None`` for ONNX, and where the interpreter does not tell. ``graph`` is ``None`` where the
        library that reads it is not installed; ``graph_missing`` then names it.

    Raises
    ------
    TmgcError
        The file is damaged, has no card, or no installed interpreter can run it.
    """
    interpreter = open_by_first_engine(file, threads=1).interpreter
    graph, missing = None, None
    try:
        graph = graph_facts(file).to_json()
    except TmgcError as error:
        missing = str(error)
    return {
        "schema": SCHEMA,
        "file": str(file),
        "size_bytes": file.stat().st_size,
        "sha256": sha256_of(file),
        "runtime": interpreter.runtime,
        "delegation": _delegation(interpreter),
        "input": _tensor(interpreter.input),
        "output": _tensor(interpreter.output),
        "graph": graph,
        "graph_missing": missing,
        "warning": interpreter.card.warning,
        "card": json.loads(interpreter.card.to_json()),
    }


def _delegation(interpreter: Interpreter) -> dict[str, Any] | None:
    delegation = interpreter.delegation if isinstance(interpreter, LiteRTInterpreter) else None
    return delegation and delegation._asdict()


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "type": info.type, "shape": list(info.shape)}


def format_inspection(document: Mapping[str, Any]) -> list[str]:
    """The document of :func:`inspect_file` as lines of text.

    Raises
    ------
    TmgcError
        The card has fields of another type than :func:`export.exporter.export_model` writes.
    """
    try:
        rows = _rows(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TmgcError(
            f"the card of {document['file']} has a field that tmgc-export does not write ({first_line(error)}): "
            "--json prints it"
        ) from error
    return [f"{name:12} {value}" for name, value in rows.items()]


def _rows(document: Mapping[str, Any]) -> dict[str, Any]:
    card, input_, output = document["card"], document["input"], document["output"]
    rows = {
        "file": f"{document['file']}, {document['size_bytes'] / 1e6:.1f} MB, run by {document['runtime']}",
        "sha256": document["sha256"],
        "model": _model(card),
        "input": f"{card['input_kind']}, {input_['type']} {_shape(input_)}",
        "output": f"probabilities, {output['type']} {_shape(output)}",
        "genres": ", ".join(card["genres"]),
        "spectrogram": ", ".join(f"{name} {value}" for name, value in card["spectrogram"].items()),
        "confidence": f"temperature {card['temperature']:.3g}, threshold {card['threshold']:.3g}",
        "answers": f"{card['pooling']} of the windows, smoothed over {card['smoothing_seconds']:g} s",
        **_graph_rows(document),
        **_delegation_row(document["delegation"]),
        "parity": _parity(card["export"].get("parity") or {}),
        "versions": ", ".join(f"{name} {version}" for name, version in card["versions"].items()),
    }
    if document["warning"]:
        rows["warning"] = document["warning"]
    return rows


def _model(card: Mapping[str, Any]) -> str:
    export = card["export"]
    parts = [card["name"], card["network"].get("architecture"), export.get("format"), export.get("recipe")]
    if "opset" in export:
        parts.append(f"opset {export['opset']}")
    kept = export.get("keep_float") or []
    return ", ".join(map(str, filter(None, parts))) + (f", kept in float: {' '.join(kept)}" if kept else "")


def _graph_rows(document: Mapping[str, Any]) -> dict[str, str]:
    graph = document["graph"]
    if graph is None:
        return {"operators": f"cannot be read: {document['graph_missing']}"}
    rows = {
        "operators": ", ".join(f"{count} {name}" for name, count in graph["operators"].items()),
        "weights": ", ".join(f"{count:,} {name}" for name, count in graph["weights"].items()),
    }
    if graph["arithmetic"]:
        rows["arithmetic"] = ", ".join(f"{count} {name}" for name, count in graph["arithmetic"].items())
    return rows if graph["macs"] is None else rows | {"MACs": f"{graph['macs'] / 1e6:,.1f} million a window"}


def _delegation_row(delegation: Mapping[str, Any] | None) -> dict[str, str]:
    if delegation is None:
        return {}
    others = ", ".join(f"{count} {name}" for name, count in delegation["others"].items())
    row = f"XNNPACK runs {delegation['delegated']} of {delegation['operators']} operators"
    return {"delegate": f"{row}, all but {others}" if others else row}


def _parity(parity: Mapping[str, Any]) -> str:
    if not parity:
        return "not compared with Keras"
    verdict = "passed" if parity["passed"] else f"FAILED ({'; '.join(parity['failures'])})"
    agreement = f"top-1 agreement with Keras {parity['top1_agreement'] * 100:.1f} % on {parity['windows']} windows"
    others = [
        f"with {engine} {'passed' if other['passed'] else 'FAILED (' + '; '.join(other['failures']) + ')'}"
        for engine, other in parity.get("other_engines", {}).items()
    ]
    return "; ".join([f"{verdict}: {agreement}", *others])


def _shape(tensor: Mapping[str, Any]) -> str:
    return f"[{', '.join(map(str, tensor['shape']))}]"
