"""How much of a disk the libraries of a row take: its distributions, and all that they declare to need."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.rows import KERAS_COMPILED, KERAS_PREDICT, ORIGINAL, TFLITE_RUNTIME, RowSpec

_SOUND = ("numpy", "soundfile", "soxr")
"""What makes pictures of a file for every row but the original."""

_ROOTS = {
    ORIGINAL: ("librosa", "matplotlib", "Pillow", "keras", "tensorflow"),
    KERAS_PREDICT: (*_SOUND, "keras", "tensorflow"),
    KERAS_COMPILED: (*_SOUND, "keras", "tensorflow"),
    TFLITE_RUNTIME: (*_SOUND, "tflite-runtime"),
}
_ROOTS_OF_FILES = {".tflite": (*_SOUND, "ai-edge-litert"), ".onnx": (*_SOUND, "onnxruntime")}


def installed_mb(row: RowSpec) -> float | None:
    """Size of what a row needs in ``site-packages``, MB (1e6 bytes); None where it, or ``packaging``, is not installed.

    The project itself, less than a megabyte, and Python are not counted.
    """
    roots = _ROOTS.get(row.pipeline) or _ROOTS_OF_FILES[row.model.suffix]
    try:
        return sum(map(_size_bytes, needed_by(roots))) / 1e6
    except ModuleNotFoundError:  # PackageNotFoundError is one, too
        return None


def needed_by(roots: Iterable[str]) -> set[str]:
    """Distributions and those that they need, and so on, by their normalised names; extras are not followed.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        One of the roots is not installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    waiting = [canonicalize_name(distribution(root).metadata["Name"]) for root in roots]
    while waiting:
        name = waiting.pop()
        if name in found or (installed := _installed(name)) is None:
            continue
        found.add(name)
        requirements = map(Requirement, installed.requires or [])
        waiting += [
            canonicalize_name(each.name)
            for each in requirements
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


def _installed(name: str) -> Distribution | None:
    """None where another system or another Python would need it."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


@cache
def _size_bytes(name: str) -> int:
    paths = (Path(str(file.locate())) for file in distribution(name).files or [])
    return sum(path.stat().st_size for path in paths if path.is_file())
