"""Parity reports for a person, for a program, and in the run's ``parity.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write, sha256_of

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
"""Version of ``parity.json`` and of ``tmgc-export --json``."""


def add_to_parity_json(path: Path, report: Mapping[str, Any], *, replaces: Sequence[str]) -> None:
    """Put the report of one file into ``parity.json``; those of other files stay.

    Parameters
    ----------
    path : Path
    report : dict
        Names its ``file``.
    replaces : sequence of str
        Names that the same target may stand under.

    Raises
    ------
    TmgcError
        What stands there is not such a file.
    """
    kept = [other for other in read_parity_json(path) if other["file"] not in replaces]
    with atomic_write(path) as partial:
        document = {"schema": SCHEMA, "reports": [*kept, report]}
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")


def write_checksum(path: Path) -> str:
    """Write a file's SHA-256 beside it, for ``sha256sum -c``, and give it."""
    sha256 = sha256_of(path)
    with atomic_write(_checksum(path)) as partial:
        partial.write_text(f"{sha256}  {path.name}\n", "utf-8")
    return sha256


def remove_with_checksum(path: Path) -> None:
    """Remove a file of an earlier export, and its SHA-256."""
    path.unlink(missing_ok=True)
    _checksum(path).unlink(missing_ok=True)


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


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
    except (ValueError, KeyError, TypeError) as error:
        raise TmgcError(f"{path} must hold parity reports and cannot be read ({error}): delete it") from error
    if schema != SCHEMA:
        raise TmgcError(f"{path}: reports of schema {SCHEMA} are needed, got {schema}: delete it or update tmgc")
    return list(reports)


def parity_table(reports: Sequence[Mapping[str, Any]]) -> Table:
    """The reports as a table, one line a file, narrow enough for 80 columns."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=_title(reports), title_justify="left", box=SIMPLE, pad_edge=False)
    table.add_column("file", overflow="fold")
    for heading in ("MB", "ratio", "agree", "max Δp", "right", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("parity", no_wrap=True)
    for report in reports:
        parity = report["parity"]
        accuracy = parity["accuracy"]
        table.add_row(
            Path(report["file"]).name,
            f"{report['size_bytes'] / 1e6:.1f}",
            f"{report['size_ratio']:.0%}",
            f"{parity['top1_agreement']:.1%}",
            f"{parity['max_probability_difference']:.1e}",
            f"{accuracy['accuracy_file']:.1%}",
            f"{report['export_seconds']:.0f}",
            "held" if parity["held"] else "MISSED",
        )
    return table


def _title(reports: Sequence[Mapping[str, Any]]) -> str:
    parity = reports[0]["parity"]
    return (
        f"Against Keras on {parity['windows']} windows of the {parity['split']} split "
        f"({parity['clips']} clips of {parity['songs']} songs),\n"
        f"a window every {parity['hop_seconds']} s; Keras names {parity['accuracy']['accuracy_keras']:.1%} right"
        f"\n{reports[0]['macs'] / 1e6:,.0f} million multiplications a window; "
        f"{max(report['peak_memory_mb'] for report in reports) / 1e3:.1f} GB of memory at most"
    )
