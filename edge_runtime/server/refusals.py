"""Refusals of requests: a status, and one JSON line with the rule, what was found and the next step."""

from __future__ import annotations

from collections.abc import Mapping

from edge_runtime.outputs.json_lines import json_line


class RefusedError(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : int
        HTTP status.
    rule, found, next_step : str
        Each in a few words.
    headers : mapping of str to str, optional
        Further ones of the response.
    """

    def __init__(
        self, status: int, rule: str, found: str, next_step: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{rule}: {found}. {next_step}")
        self.status = status
        self.rule = rule
        self.found = found
        self.next_step = next_step
        self.headers = dict(headers or {})

    def line(self, **fields: object) -> str:
        """The refusal as a JSON line, with further fields."""
        return json_line(
            "error", status=self.status, rule=self.rule, found=self.found, next_step=self.next_step, **fields
        )
