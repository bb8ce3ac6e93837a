"""Telling the service manager that all is well: the protocol of ``sd_notify(3)``, a datagram to a socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from edge_runtime.audio import Samples


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
            return  # the manager restarts: it asks again by its watchdog if it must


def watched(blocks: Iterator[Samples | None]) -> Iterator[Samples | None]:
    """The same blocks; the manager is told of each, so that a stream or a model that hangs is noticed.

    Parameters
    ----------
    blocks : iterator of np.ndarray [shape=(n,)], float32 in [-1, 1], or None
    """
    for block in blocks:
        tell_manager("WATCHDOG=1")
        yield block
