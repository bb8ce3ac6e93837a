"""Checks of a machine that is to listen: each looks at one thing and says what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_runtime.doctor.finding import OK, PROBLEM, WARNING, Finding
from edge_runtime.doctor.microphone import check_microphone
from edge_runtime.doctor.model import check_interpreter, check_model
from edge_runtime.doctor.system import check_bits, check_memory, check_python, check_temperature

__all__ = ["OK", "PROBLEM", "WARNING", "Finding", "examine"]


def examine(model: Path | None, device: str | None = None) -> Iterator[Finding]:
    """All checks, each as soon as it is done.

    Parameters
    ----------
    model : Path or None
        The model file; None for the newest under ``./runs``.
    device : str or None
        The microphone, as ``--device`` names it; None for the default.

    Yields
    ------
    finding : Finding
    """
    yield check_bits()
    yield check_python()
    yield check_memory()
    yield check_temperature()
    yield check_interpreter()
    yield from check_model(model)
    yield from check_microphone(device)
