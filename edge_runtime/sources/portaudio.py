"""PortAudio: its devices, and a capture stream whose callback fills a queue."""

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
from edge_runtime.native_stderr import silence_native_stderr

NO_MICROPHONE = "a microphone is needed: the system has none. Plug one in, or name a file to listen to"

MAX_QUEUE_SECONDS = 10.0
"""Length of the capture queue; beyond it the oldest samples are discarded."""

MAX_CHANNELS = 8
"""A device that offers more is not a microphone array but a sound server that creates as many channels as are asked for
(and fills them with silence), or a studio interface: it is opened with two channels. With one, a sound server would mix
them, and channels that are inverted against each other would be silence."""


@dataclass(frozen=True)
class Device:
    """An input device of PortAudio."""

    number: int
    """PortAudio's index, which another device may have after PortAudio is initialised again."""
    name: str
    channels: int
    """Maximum number of input channels."""
    sample_rate: int
    """Native rate, Hz."""
    default: bool


def list_devices() -> list[Device]:
    """All input devices; an empty list where there is none.

    Raises
    ------
    TmgcError
        The PortAudio library is missing.
    """
    portaudio = _portaudio()
    default = portaudio.default.device[0]
    return [
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


def find_device(wanted: str | None) -> Device:
    """The one input device that a name or a number selects.

    Parameters
    ----------
    wanted : str or None
        Number, name, or a part of the name (case-insensitive); None for the system's default.

    Raises
    ------
    TmgcError
        No device or several devices match, or the PortAudio library is missing.
    """
    devices = list_devices()
    if not devices:
        raise TmgcError(NO_MICROPHONE)
    found = [device for device in devices if _matches(device, wanted)]
    exact = [device for device in found if device.name == wanted]
    if len(exact or found) == 1:
        return (exact or found)[0]
    listed = "; ".join(f"{device.number}: {device.name}" for device in found or devices)
    if found:
        raise TmgcError(
            f"--device must match one device: {wanted!r} matches {listed}. Give its number, or more of its name"
        )
    what = "the system names no default device" if wanted is None else f"none matches {wanted!r}"
    raise TmgcError(f"a microphone is needed: {what}. Name one of these with --device: {listed}")


def restart_portaudio() -> None:
    """Initialise PortAudio again: it looks for devices only then."""
    portaudio = _portaudio()
    with silence_native_stderr():
        portaudio._terminate()
        portaudio._initialize()


def skip_portaudio_exit() -> None:
    """Let the process end without terminating PortAudio, which would block for ever on a device that hangs."""
    portaudio: Any = sys.modules.get("sounddevice")  # an import would block, too, where the first one hangs
    if hasattr(portaudio, "_exit_handler"):
        atexit.unregister(portaudio._exit_handler)


def _matches(device: Device, wanted: str | None) -> bool:
    if wanted is None:
        return device.default
    if wanted.isdecimal():
        return device.number == int(wanted)
    return wanted.casefold() in device.name.casefold()


def _portaudio() -> Any:
    try:
        with silence_native_stderr():  # ALSA writes a dozen lines about each device that it does not find
            import sounddevice
    except OSError as error:
        raise TmgcError(
            f"a microphone needs the PortAudio library: {error}. Install it: sudo apt install libportaudio2"
        ) from error
    return sounddevice


class CapturedBlock(NamedTuple):
    """Samples as the device delivered them."""

    samples: NDArray[np.float32]
    """``[shape=(frames, channels)], float32 in [-1, 1]``"""
    after_gap: bool
    """Samples are missing before it."""


class Capture:
    """A running capture stream and its queue of limited length.

    Parameters
    ----------
    device : Device

    Attributes
    ----------
    device : Device
    overflows : int
        How often samples were lost: PortAudio reported an overflow, or the queue was full.

    Raises
    ------
    TmgcError
        The device does not open.
    """

    def __init__(self, device: Device) -> None:
        import sounddevice

        self.device = device
        self.overflows = 0
        self._blocks: deque[CapturedBlock] = deque()
        self._frames = 0
        self._gap = False
        self._overflowing = False
        self._last_arrival = monotonic()
        self._changed = threading.Condition()
        try:
            with silence_native_stderr():
                self._stream = sounddevice.InputStream(
                    device=device.number,
                    channels=device.channels if device.channels <= MAX_CHANNELS else 2,
                    samplerate=device.sample_rate,
                    dtype="float32",
                    latency="high",
                    callback=self._callback,
                )
                self._stream.start()
        except sounddevice.PortAudioError as error:
            raise TmgcError(
                f"a microphone must open: {device.name} does not ({first_line(error)}). Is another program using it?"
            ) from error

    @property
    def alive(self) -> bool:
        """Whether the stream still runs."""
        return bool(self._stream.active)

    @property
    def waiting_seconds(self) -> float:
        """Length of what is in the queue, seconds."""
        return self._frames / self.device.sample_rate

    @property
    def stalled_seconds(self) -> float:
        """Time since the last samples arrived, seconds."""
        return monotonic() - self._last_arrival

    def take(self, timeout_seconds: float) -> CapturedBlock | None:
        """Remove the oldest block from the queue; None where none arrives in time."""
        with self._changed:
            if not self._blocks:
                self._changed.wait(timeout_seconds)
            if not self._blocks:
                return None
            block = self._blocks.popleft()
            self._frames -= len(block.samples)
            self._overflowing = False
            return block

    def close(self) -> None:
        """Close the stream; blocks for ever on a device that hangs."""
        with silence_native_stderr():
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def _callback(self, block: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        """PortAudio's callback: copies and counts."""
        with self._changed:
            if status.input_overflow:  # samples before this block were discarded
                self.overflows += 1
                self._gap = True
            if not frames:
                return
            self._last_arrival = monotonic()
            self._blocks.append(CapturedBlock(block.copy(), self._gap))
            self._gap = False
            self._frames += frames
            self._discard_oldest()
            self._changed.notify()

    def _discard_oldest(self) -> None:
        """Keep the queue within its limit; all that is discarded between two calls of ``take`` is one overflow."""
        while len(self._blocks) > 1 and self._frames > MAX_QUEUE_SECONDS * self.device.sample_rate:
            self._frames -= len(self._blocks.popleft().samples)
            self.overflows += not self._overflowing
            self._overflowing = True
            self._blocks[0] = self._blocks[0]._replace(after_gap=True)
