"""The machine that a benchmark runs on, and how much of its disk the libraries of a case take."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.cases import KERAS_COMPILED, KERAS_PREDICT, REFERENCE, Case
from benchmarks.report import Machine, ThermalState
from edge_runtime import system_info as edge_info
from edge_runtime.interpreters import ENGINES
from train.libraries import versions

LIBRARIES = (
    "tmgc",
    "numpy",
    "soundfile",
    "soxr",
    *(engine.distribution for engine in ENGINES.values()),
    "keras",
    "librosa",
    "matplotlib",
    "Pillow",
)
"""Distributions that a case's latency may depend on."""


def describe_machine() -> Machine:
    """The machine, its system and the libraries; None for what it does not tell."""
    import psutil

    return Machine(
        board=edge_info.board_model(),
        cpu=edge_info.cpu_model(),
        architecture=platform.machine(),
        cores=psutil.cpu_count(),
        usable_cores=edge_info.usable_cores(),
        governor=edge_info.text_of(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        memory_mb=round(psutil.virtual_memory().total / 1e6, 1),
        system=platform.system(),
        kernel=platform.release(),
        python=platform.python_version(),
        versions=versions(LIBRARIES),
    )


def thermal_state() -> ThermalState:
    """The machine's present temperature, frequency, throttling and load."""
    state = edge_info.thermal_state()
    throttled = state.pop("throttled")
    return ThermalState(**state, throttled=None if throttled is None else tuple(throttled))


_AUDIO = ("numpy", "soundfile", "soxr")
"""What makes images of a file for every case but the reference."""

_ROOTS = {
    REFERENCE: ("librosa", "matplotlib", "Pillow", "keras", "tensorflow"),
    KERAS_PREDICT: (*_AUDIO, "keras", "tensorflow"),
    KERAS_COMPILED: (*_AUDIO, "keras", "tensorflow"),
}


def installed_mb(case: Case) -> float | None:
    """Size of a case's libraries in ``site-packages``, MB (1e6 bytes); None where one, or ``packaging``, is missing.

    The project itself, less than a megabyte, and Python are not counted.
    """
    if case.is_export and case.engine is None:
        return None
    roots = (*_AUDIO, ENGINES[case.engine].distribution) if case.engine else _ROOTS[case.pipeline]
    try:
        return sum(map(_size_bytes, required_distributions(roots))) / 1e6
    except ModuleNotFoundError:  # PackageNotFoundError is one, too
        return None


def required_distributions(roots: Iterable[str]) -> set[str]:
    """Distributions with all that they require, by their normalised names; extras are not followed.

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
