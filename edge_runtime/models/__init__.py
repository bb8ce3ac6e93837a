"""The default model: the newest export, or else the small model of this package.

``small.int8.tflite`` is a MobileNetV2 of width 0.5 that has learned the answers of an InceptionResNetV2 to the
synthesised music of ``tmgc-train demo-corpus``; ``make small-model`` trains both.
"""

from __future__ import annotations

from pathlib import Path

from edge_runtime.files import PARTIAL

RUNS = Path("runs")
"""Folder of the runs unless a command is told otherwise."""

SMALL_MODEL = Path(__file__).with_name("small.int8.tflite")
"""The model that is part of this package."""


def default_model() -> Path:
    """The last exported model under ``./runs`` that passed its parity check, or else :data:`SMALL_MODEL`."""
    found = [
        path
        for pattern in ("*.tflite", "*.onnx")
        for path in RUNS.glob(f"*/exports/{pattern}")
        if ".FAILED." not in path.name and not path.name.startswith(PARTIAL)
    ]
    return max(found, key=lambda path: path.stat().st_mtime, default=SMALL_MODEL)
