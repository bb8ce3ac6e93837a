"""The model that is taken where none is named: the newest export, or the small one that the package brings along.

``small.float16.tflite`` is a MobileNetV3Small that knows the synthesised music of ``tmgc-train demo-corpus``, and
nothing else; ``make small-model`` makes it.
"""

from __future__ import annotations

from pathlib import Path

from edge_runtime.cli.base import RUNS

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
