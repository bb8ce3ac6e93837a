"""Whether the clock can be believed: a Raspberry Pi has no battery for it and guesses until the network is up."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes it once it has asked a server."""

_ERROR_STATE = 5
"""``TIME_ERROR`` of adjtimex(2): the clock is not synchronised."""

_ROOM = 512
"""Bytes: more than a ``struct timex`` of any architecture."""


def clock_synchronised() -> bool | None:
    """Whether the clock was set by a time server; None where nobody knows."""
    if _SYNCHRONISED.exists():
        return True
    adjtimex = _adjtimex()
    if adjtimex is None:
        return None
    state = adjtimex(ctypes.create_string_buffer(_ROOM))  # of zeros, so that it only asks
    return None if state < 0 else state != _ERROR_STATE


@cache
def _adjtimex() -> Any:
    try:
        return ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
