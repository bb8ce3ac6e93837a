"""The last answer as the status that ``systemctl status`` shows."""

from __future__ import annotations

from edge_runtime.answers import Answer, Event, Summary
from edge_runtime.service.notify import tell_manager


class ServiceStatus:
    """Tells the service manager what is heard."""

    def window(self, answer: Answer) -> None:
        tell_manager(f"STATUS={answer.smoothed_genre} {answer.smoothed_confidence:.0%}, {answer.level_dbfs:.0f} dBFS")

    def event(self, event: Event) -> None:
        tell_manager(f"STATUS={event.event}: {event.reason}")

    def summary(self, summary: Summary) -> None:
        """The last answer has been told."""

    def close(self) -> None:
        tell_manager("STOPPING=1")
