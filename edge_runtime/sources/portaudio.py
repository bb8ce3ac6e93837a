"""An open microphone: what PortAudio hands over, kept until somebody takes it."""

from __future__ import annotations

import atexit
import sys
import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.logs import silence_native_stderr


@dataclass(frozen=True)
class Device:
    """A device that gives sound."""

    number: int
    """PortAudio's; another one may carry it after the next start."""
    name: str
    channels: int
    """As many as it offers at most."""
    sample_rate: int
    """Its own, Hz."""
    default: bool


def list_devices() -> list[Device]:
    """Every device that gives sound.

    Raises
    ------
    TmgcError
        There is none, or the PortAudio library is missing.
    """
    portaudio = _portaudio()
    default = portaudio.default.device[0]
    devices = [
        Device(
            number=device["index"],
            name=device["name"],
            channels=device["max_input_channels"],
            sample_rate=round(device["default_samplerate"]),
            default=device["index"] == default,
        )
        for device in portaudio.query_devices()
        if device["max_input_channels"] > 0
    ]
    if not devices:
        raise TmgcError("a microphone is needed: the system has none. Plug one in, or name a file to listen to")
    return devices


def find_device(wanted: str | None) -> Device:
    """The one device that was meant.

    Parameters
    ----------
    wanted : str or None
        Its number, its name, or a part of its name in any case of letters; None for the default.

    Raises
    ------
    TmgcError
        There is none, or it could be several.
    """
    devices = list_devices()
    found = [device for device in devices if _is_meant(device, wanted)]
    exact = [device for device in found if device.name == wanted]
    if len(exact or found) == 1:
        return (exact or found)[0]
    listed = "; ".join(f"{device.number}: {device.name}" for device in found or devices)
    if found:
        raise TmgcError(f"--device must fit one device: {wanted!r} fits {listed}. Give its number, or more of its name")
    what = "the system names no default device" if wanted is None else f"none fits {wanted!r}"
    raise TmgcError(f"a microphone is needed: {what}. Name one of these with --device: {listed}")


def start_portaudio_anew() -> None:
    """Have PortAudio look for devices again: it keeps the list that it made when it began."""
    portaudio = _portaudio()
    with silence_native_stderr():
        portaudio._terminate()
        portaudio._initialize()


def leave_portaudio() -> None:
    """Let the process end without PortAudio's own leave, which a device that hangs would hold up for ever."""
    portaudio: Any = sys.modules.get("sounddevice")  # importing it would wait for an import that hangs
    if hasattr(portaudio, "_exit_handler"):
        atexit.unregister(portaudio._exit_handler)


def _is_meant(device: Device, wanted: str | None) -> bool:
    if wanted is None:
        return device.default
    if wanted.isdecimal():
        return device.number == int(wanted)
    return wanted.casefold() in device.name.casefold()


def _portaudio() -> Any:
    try:
        with silence_native_stderr():  # ALSA writes a dozen lines about every device that it looks for in vain
            import sounddevice
    except OSError as error:
        raise TmgcError(
            f"a microphone needs the PortAudio library: {error}. Install it: sudo apt install libportaudio2"
        ) from error
    return sounddevice


MOST_SECONDS = 10.0
"""Sound that is kept; beyond it the oldest is lost, so that what waits is never staler."""

MOST_CHANNELS = 8
"""A device that offers more is no array of microphones but a sound server that makes as many as one asks for (and fills
them with silence), or a studio's interface: one channel is asked for, which a sound server mixes itself."""


class Taken(NamedTuple):
    """A block of sound as the device gave it."""

    block: NDArray[np.float32]
    """``[shape=(frames, channels)], float32 in [-1, 1]``"""
    after_gap: bool
    """Sound is missing before it."""


class Capture:
    """A device that records into a queue of limited length, from when it is made until it is closed.

    Parameters
    ----------
    device : Device

    Attributes
    ----------
    overflows : int
        Times that sound was lost: PortAudio says so, or the queue was full.

    Raises
    ------
    TmgcError
        The device does not open.
    """

    def __init__(self, device: Device) -> None:
        import sounddevice

        self.device = device
        self.overflows = 0
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._frames = 0
        self._after_gap = False
        self._last_came = monotonic()
        self._changed = threading.Condition()
        try:
            self._stream = sounddevice.InputStream(
                device=device.number,
                channels=device.channels if device.channels <= MOST_CHANNELS else 1,
                samplerate=device.sample_rate,
                dtype="float32",
                latency="high",
                callback=self._keep,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise TmgcError(
                f"a microphone must open: {device.name} does not ({first_line(error)}). Is another program using it?"
            ) from error

    @property
    def alive(self) -> bool:
        """Whether the device still records."""
        return bool(self._stream.active)

    @property
    def waiting_seconds(self) -> float:
        """Sound in the queue, seconds."""
        return self._frames / self.device.sample_rate

    @property
    def quiet_seconds(self) -> float:
        """Time since the device last gave anything, seconds."""
        return monotonic() - self._last_came

    def take(self, timeout_seconds: float) -> Taken | None:
        """The oldest block that waits; None where none comes in time."""
        with self._changed:
            if not self._blocks:
                self._changed.wait(timeout_seconds)
            if not self._blocks:
                return None
            block = self._blocks.popleft()
            self._frames -= len(block)
            after_gap, self._after_gap = self._after_gap, False
            return Taken(block, after_gap)

    def close(self) -> None:
        """Give the device back. One that hangs does not return from this."""
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _keep(self, block: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        """PortAudio's callback: copies and counts."""
        with self._changed:
            self.overflows += bool(status.input_overflow)
            if not frames:
                return
            self._last_came = monotonic()
            self._blocks.append(block.copy())
            self._frames += frames
            while self._frames > MOST_SECONDS * self.device.sample_rate:
                self._frames -= len(self._blocks.popleft())
                self.overflows += not self._after_gap
                self._after_gap = True
            self._changed.notify()
