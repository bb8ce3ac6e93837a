"""Checks of the board and its system."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from edge_runtime.condition import condition, text_of
from edge_runtime.doctor.finding import OK, PROBLEM, WARNING, Finding

PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest that the dependencies have wheels for."""

SMALL_MEMORY_MB = 900.0
"""A board of 1 GB has this much left of it; one with less is of 512 MB, for the small networks."""

HOT_CELSIUS = 80.0
"""Where a Raspberry Pi begins to slow down."""


def check_bits(bits: int = 64 if sys.maxsize > 2**32 else 32, machine: str = platform.machine()) -> Finding:
    """Whether programs are 64-bit; a 64-bit kernel alone does not help."""
    board = text_of(Path("/proc/device-tree/model"))
    found = f"{bits} bits, {machine}" + (f", {board}" if board else "")
    if bits == 64:
        return Finding("system", OK, found)
    return Finding("system", PROBLEM, found, "install the 64-bit Raspberry Pi OS: LiteRT exists for no 32-bit system")


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether the dependencies have wheels for this Python."""
    oldest, newest = PYTHONS
    named = ".".join(map(str, version))
    if oldest <= version[:2] <= newest:
        return Finding("Python", OK, named)
    fix = f"install Python {_dotted(oldest)} to {_dotted(newest)}: Raspberry Pi OS Bookworm has 3.11, Trixie 3.13"
    return Finding("Python", PROBLEM, named, fix)


def check_memory(total_mb: float | None = None) -> Finding:
    """Whether InceptionResNetV2 fits."""
    total_mb = total_mb or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    if total_mb >= SMALL_MEMORY_MB:
        return Finding("memory", OK, f"{total_mb:.0f} MB")
    return Finding("memory", WARNING, f"{total_mb:.0f} MB", "take a small network: --architecture mobilenet_v3_small")


def check_temperature(system: Path = Path("/sys")) -> Finding:
    """Whether heat or a weak power supply holds the processor back."""
    now = condition(system)
    heat, reasons = now["temperature_c"], now["throttled"] or []
    found = "unknown here" if heat is None else f"{heat:.0f} degrees Celsius"
    found += ", held back: " + ", ".join(reasons) if reasons else ""
    if any("under-voltage" in reason for reason in reasons):
        return Finding("temperature", WARNING, found, "use the power supply that belongs to the board")
    if reasons or (heat is not None and heat >= HOT_CELSIUS):
        return Finding("temperature", WARNING, found, "cool the processor: a heat sink or a fan")
    return Finding("temperature", OK, found)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
