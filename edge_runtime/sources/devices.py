"""The microphones that PortAudio knows: listing them, finding one by its name, and asking PortAudio anew."""

from __future__ import annotations

import atexit
import sys
from dataclasses import dataclass
from typing import Any

from edge_runtime.chatter import without_chatter
from edge_runtime.errors import TmgcError


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
    with without_chatter():
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
        with without_chatter():  # ALSA writes a dozen lines about every device that it looks for in vain
            import sounddevice
    except OSError as error:
        raise TmgcError(
            f"a microphone needs the PortAudio library: {error}. Install it: sudo apt install libportaudio2"
        ) from error
    return sounddevice
