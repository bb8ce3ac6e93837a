"""Where answers go: lines for people, lines for programs, and whatever else can keep or send them."""

from __future__ import annotations

from typing import Protocol

from edge_runtime.predictions import Event, Prediction, Summary


class Output(Protocol):
    """Anything that takes what listening gives, in its order."""

    def window(self, prediction: Prediction) -> None:
        """One window was answered."""

    def event(self, event: Event) -> None:
        """Something happened to the source."""

    def summary(self, summary: Summary) -> None:
        """A source has ended."""

    def close(self) -> None:
        """Nothing more will come."""
