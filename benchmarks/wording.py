"""Figures as people read them."""

from __future__ import annotations

NOTHING = "-"


def number(value: float | None) -> str:
    """Three figures or so: 0.123, 1.23, 12.3, 123."""
    if value is None:
        return NOTHING
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def n_threads(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"
