"""The last answer as the status that ``systemctl status`` shows."""

from __future__ import annotations

import math
import os
import socket
from time import monotonic

from edge_runtime.predictions import Event, Prediction, Summary


def tell_manager(*assignments: str) -> None:
    """Send assignments such as ``READY=1`` or ``STATUS=Halk 93%``; nothing happens where no manager listens.

    Parameters
    ----------
    *assignments : str
        Each ``NAME=value``, as ``sd_notify(3)`` lists them.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract namespace, which has no file
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        try:
            to.sendto("\n".join(assignments).encode("utf-8"), address)
        except OSError:
            return  # the manager itself restarts; the next message finds it


class Watchdog:
    """Tells the manager, at most once a second, that whoever calls it still lives."""

    def __init__(self) -> None:
        self._told = -math.inf

    def __call__(self) -> None:
        if monotonic() - self._told >= 1:
            self._told = monotonic()
            tell_manager("WATCHDOG=1")


class ServiceStatus:
    """Tells the service manager what is heard."""

    def window(self, prediction: Prediction) -> None:
        tell_manager(
            f"STATUS={prediction.smoothed_genre} {prediction.smoothed_confidence:.0%}, {prediction.level_dbfs:.0f} dBFS"
        )

    def event(self, event: Event) -> None:
        tell_manager(f"STATUS={event.event}: {event.reason}")

    def summary(self, summary: Summary) -> None:
        """The last answer has been told."""

    def close(self) -> None:
        tell_manager("STOPPING=1")
