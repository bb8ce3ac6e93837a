"""The machine that a benchmark ran on, as far as it tells."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from edge_runtime.condition import text_of
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
