"""Checks of the microphones, and of what one of them gives."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import level_dbfs
from edge_runtime.doctor.finding import OK, PROBLEM, WARNING, Finding
from edge_runtime.errors import TmgcError
from edge_runtime.sources.capture import Capture
from edge_runtime.sources.devices import Device, find_device, list_devices

CAPTURE_SECONDS = 3.0

QUIET_DBFS = -60.0
"""Below the noise of any microphone whose level is turned up."""

CLIPPED = 0.999
"""Full scale, but for rounding."""


def check_microphone(device: str | None) -> Iterator[Finding]:
    """The microphones there are, and three seconds of the one that would be listened to."""
    try:
        devices = list_devices()
        yield check_listed(devices)
        if devices:
            yield check_level(record(find_device(device)))
    except TmgcError as error:
        yield Finding("microphone", PROBLEM, str(error))


def check_listed(devices: list[Device]) -> Finding:
    """Whether there is a microphone at all."""
    named = [f"{device.number}: {device.name}, {device.sample_rate} Hz" for device in devices]
    if named:
        return Finding("microphones", OK, "; ".join(named))
    user = os.environ.get("USER", "$USER")
    fix = f"plug one in; if arecord -l lists one, give your user the right: sudo usermod -aG audio {user}"
    return Finding("microphones", PROBLEM, "none", fix)


def record(device: Device, seconds: float = CAPTURE_SECONDS) -> NDArray[np.float32]:
    """Sound of a microphone.

    Parameters
    ----------
    device : Device
    seconds : float > 0

    Returns
    -------
    samples : np.ndarray [shape=(n, channels)], float32 in [-1, 1]
        Less than asked for where the device stops giving.
    """
    capture = Capture(device)
    blocks, wanted = [], round(seconds * device.sample_rate)
    try:
        while wanted > 0 and (taken := capture.take(timeout_seconds=seconds)):
            blocks.append(taken.block)
            wanted -= len(taken.block)
    finally:
        capture.close()
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)


def check_level(samples: NDArray[np.float32]) -> Finding:
    """Whether what a microphone gives can be used.

    Parameters
    ----------
    samples : np.ndarray [shape=(n, channels)], float32 in [-1, 1]
    """
    if not len(samples):
        return Finding("capture", PROBLEM, "the microphone opens and gives nothing", "unplug it and plug it in again")
    level = level_dbfs(samples)
    found = f"{level:.1f} dBFS"
    if level < QUIET_DBFS:
        return Finding("capture", WARNING, f"{found}: silence", "turn it up: alsamixer, F4 for capture")
    if np.abs(samples).max() >= CLIPPED:
        return Finding("capture", WARNING, f"{found}, clipped", "turn it down: alsamixer, F4 for capture")
    return Finding("capture", OK, found)
