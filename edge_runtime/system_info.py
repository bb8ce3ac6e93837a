"""The state of the machine: cores, memory, temperature, throttling, its boot, and whether its clock is synchronised."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

_FIRMWARE = "devices/platform/soc/soc:firmware/get_throttled"

_THROTTLED = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
    16: "under-voltage since boot",
    17: "frequency capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}
"""Bits of ``vcgencmd get_throttled``, from the documentation of Raspberry Pi OS."""


def usable_cores() -> int:
    """CPU cores that this process may use: its affinity mask, which ``os.cpu_count`` ignores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_mb(status: Path = Path("/proc/self/status")) -> float:
    """Peak of this process's resident memory so far, MB (1e6 bytes).

    Linux' ``VmHWM`` is preferred: ``getrusage`` includes the process that forked this one.

    Parameters
    ----------
    status : Path
        The kernel's status file of this process.
    """
    for line in (text_of(status) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    import resource  # Windows has none

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def thermal_state(system: Path = Path("/sys")) -> dict[str, Any]:
    """Temperature, frequency, throttling and load at this moment.

    Parameters
    ----------
    system : Path
        Mount point of sysfs.

    Returns
    -------
    state : dict
        ``temperature_c`` (of the warmest sensor, degrees Celsius), ``frequency_mhz`` (mean of the cores),
        ``throttled`` (list of a Raspberry Pi's reasons, may be empty), ``throttle_count`` (throttling events of Intel
        cores since boot) and ``load_average`` (of the last minute). Each is None where the machine does not report it.
    """
    frequencies = _numbers(system, "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    temperatures = _numbers(system, "class/thermal/thermal_zone*/temp")
    counts = _numbers(system, "devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    return {
        "temperature_c": max(temperatures) / 1e3 if temperatures else None,
        "frequency_mhz": round(sum(frequencies) / len(frequencies) / 1e3) if frequencies else None,
        "throttled": throttling(text_of(system / _FIRMWARE) or _vcgencmd()),
        "throttle_count": sum(counts) if counts else None,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def text_of(path: Path) -> str | None:
    """Content of a small system file; None where it is missing, unreadable or empty."""
    try:
        return path.read_text("utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def throttling(flags: str | None) -> list[str] | None:
    """Decode the throttling flags of a Raspberry Pi's firmware.

    Parameters
    ----------
    flags : str or None
        Hexadecimal, with or without a leading ``throttled=``; None where there is no such firmware.

    Returns
    -------
    reasons : list of str or None
        None where the flags cannot be read.
    """
    try:
        bits = int((flags or "").rpartition("=")[2], 16)
    except ValueError:
        return None
    return [reason for bit, reason in _THROTTLED.items() if bits >> bit & 1]


def _vcgencmd() -> str | None:
    try:
        done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _numbers(system: Path, pattern: str) -> list[int]:
    texts = (text_of(path) for path in sorted(system.glob(pattern)))
    return [int(text) for text in texts if text and text.lstrip("-").isdigit()]


_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd creates it at its first synchronisation."""

_ERROR_STATE = 5
"""``TIME_ERROR`` of adjtimex(2): the clock is not synchronised."""

_TIMEX_BYTES = 512
"""More than a ``struct timex`` takes on any architecture."""


def clock_synchronised() -> bool | None:
    """Whether the clock is synchronised with a time server; None where the system does not tell.

    A Raspberry Pi has no battery-backed clock: until the network is up, its time is a guess.
    """
    if _SYNCHRONISED.exists():
        return True
    adjtimex = _adjtimex()
    if adjtimex is None:
        return None
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # zeros: a query that sets nothing
    return None if state < 0 else state != _ERROR_STATE


@cache
def _adjtimex() -> Any:
    try:
        return ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None


def boot_id() -> str | None:
    """Identifies the time since the machine was started; None where the system does not tell."""
    return text_of(Path("/proc/sys/kernel/random/boot_id"))


def seconds_since_boot() -> float:
    """By a clock that is never adjusted and, on Linux, runs on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


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


_FEATURES = ("model name", "flags", "CPU implementer", "CPU part", "Features")
"""What Linux tells of a processor on x86-64, and on arm64."""


def cpu_features(path: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """What tells a processor with its instructions from another: lines of Linux, or the name that Python knows.

    Returns
    -------
    lines : tuple of str
        Each once, although there may be cores of several kinds.
    """
    lines = ((line, line.partition(":")[0].strip()) for line in (text_of(path) or "").splitlines())
    return tuple(dict.fromkeys(line for line, key in lines if key in _FEATURES)) or (platform.processor(),)
