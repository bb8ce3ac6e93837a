"""Progress of a long job: what a job reports to, whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping


class Reporter:
    """Receives the progress of a long job. This one ignores it; subclasses show it."""

    def phase(self, name: str, steps: int) -> None:
        """A phase begins.

        Parameters
        ----------
        name : str
        steps : int >= 0
            0 where the number is unknown.
        """

    def step(self, values: Mapping[str, float]) -> None:
        """One step of the phase is done.

        Parameters
        ----------
        values : mapping of str to float
            Metrics by name, such as the loss so far.
        """

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """One epoch of the phase is done.

        Parameters
        ----------
        number : int >= 1
        values : mapping of str to float
            Metrics by name.
        """
