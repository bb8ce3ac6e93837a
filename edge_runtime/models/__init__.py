"""Defaults where none is named: the newest run, and its newest export or else the small model of this package.

``small.float16.tflite`` is a MobileNetV3Small that knows the synthesised music of ``tmgc-train demo-corpus``, and
nothing else; ``make small-model`` makes it.
"""

from __future__ import annotations

from pathlib import Path

from edge_runtime.errors import TmgcError

RUNS = Path("runs")
"""Folder of the runs unless a command is told otherwise."""

SMALL_MODEL = Path(__file__).with_name("small.float16.tflite")
"""The model that the package brings along."""


def default_model() -> Path:
    """The model file under ``./runs`` that was exported last and held its parity check, else the small one."""
    found = [
        path
        for pattern in ("*.tflite", "*.onnx")
        for path in RUNS.glob(f"*/exports/{pattern}")
        if ".FAILED." not in path.name
    ]
    return max(found, key=lambda path: path.stat().st_mtime, default=SMALL_MODEL)


def newest_run(holding: str) -> Path:
    """The run folder under ``./runs`` whose file ``holding`` was written last.

    Parameters
    ----------
    holding : str
        Name of a file, e.g. ``model.keras``.

    Raises
    ------
    TmgcError
        There is none.
    """
    found = [path for path in RUNS.glob(f"*/{holding}") if path.is_file()]
    if not found:
        raise TmgcError(f"a run folder is needed: no ./{RUNS}/*/{holding} here. Name one, or make one: tmgc-train all")
    return max(found, key=lambda path: path.stat().st_mtime).parent
