"""How much of a disk the libraries of a row take: its distributions, and all that they declare to need."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from benchmarks.cases import KERAS_COMPILED, KERAS_PREDICT, ORIGINAL, TFLITE_RUNTIME, RowSpec
from edge_runtime.system_info import text_of
from train.libraries import versions

LIBRARIES = (
    "tmgc",
    "numpy",
    "soundfile",
    "soxr",
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "tensorflow",
    "keras",
    "librosa",
    "matplotlib",
    "Pillow",
)
"""Distributions that a row's time may depend on."""


def describe_machine() -> dict[str, Any]:
    """The machine, its system and the libraries; None for what it does not tell."""
    return {
        "board": board_model(),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "governor": text_of(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "memory_mb": _memory_mb(),
        "system": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions(LIBRARIES),
    }


def board_model(path: Path = Path("/proc/device-tree/model")) -> str | None:
    """Name of a single-board computer, e.g. ``Raspberry Pi 5 Model B Rev 1.0``."""
    return text_of(path)


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str | None:
    """Name of the processor: ``model name`` of Linux, or what Python knows."""
    for line in (text_of(path) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or None


def one_line(machine: dict[str, Any]) -> str:
    """A machine for people, e.g. ``AMD EPYC, 2 cores, 8.0 GB, Linux 6.1, Python 3.11.9``."""
    name = ", ".join(part for part in (machine["board"], machine["cpu"]) if part) or machine["architecture"]
    memory = f"{machine['memory_mb'] / 1e3:.1f} GB, " if machine["memory_mb"] else ""
    governor = f"governor {machine['governor']}, " if machine["governor"] else ""
    return (
        f"{name}, {machine['usable_cores']} of {machine['cores']} cores, {governor}{memory}"
        f"{machine['system']} {machine['kernel']}, Python {machine['python']}"
    )


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_mb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    except (AttributeError, OSError, ValueError):
        return None


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
