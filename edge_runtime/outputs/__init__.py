"""Outputs of ``tmgc-listen``: text, JSON lines, the live view, a SQLite history, MQTT and systemd, one module each."""

from __future__ import annotations

from edge_runtime.predictions import Event, Prediction, Summary


class Output:
    """Receives the results of listening in their order. Every method does nothing: override what is needed."""

    def window(self, prediction: Prediction) -> None:
        """Handle the prediction for one window."""

    def event(self, event: Event) -> None:
        """Handle a disturbance of the source. The session has logged it already."""

    def summary(self, summary: Summary) -> None:
        """Handle the end of a source."""

    def close(self) -> None:
        """Release what the output holds; nothing is sent to it afterwards."""
