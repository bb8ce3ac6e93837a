"""Messages to systemd's service manager: ready, alive, and the newest prediction as the status of the service."""

from __future__ import annotations

import math
import os
import socket
from time import monotonic

from edge_runtime.outputs import Output
from edge_runtime.predictions import Event, Prediction
from edge_runtime.terminal import printable


def sd_notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1`` or ``STATUS=Halk 93%`` to the service manager, if there is one.

    Parameters
    ----------
    *assignments : str
        Each ``NAME=value``.

    See Also
    --------
    https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html : the protocol
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract namespace, which has no file
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        try:  # a line break, which a file name may contain, would begin another assignment
            manager.sendto("\n".join(map(printable, assignments)).encode(), address)
        except OSError:
            return  # the manager itself restarts; it receives the next message


class Watchdog:
    """Sends ``WATCHDOG=1``, at most once a second, each time it is called."""

    def __init__(self) -> None:
        self._last_sent = -math.inf

    def __call__(self) -> None:
        if monotonic() - self._last_sent >= 1:
            self._last_sent = monotonic()
            sd_notify("WATCHDOG=1")


class ServiceStatus(Output):
    """Shows the newest prediction or event in ``systemctl status``."""

    def window(self, prediction: Prediction) -> None:
        sd_notify(
            f"STATUS={prediction.smoothed_genre} {prediction.smoothed_confidence:.0%}, {prediction.level_dbfs:.0f} dBFS"
        )

    def event(self, event: Event) -> None:
        sd_notify(f"STATUS={event.event}: {event.reason}")

    def close(self) -> None:
        sd_notify("STOPPING=1")
