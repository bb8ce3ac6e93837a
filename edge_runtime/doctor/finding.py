"""What one check of a machine has found."""

from __future__ import annotations

from dataclasses import dataclass

OK = "ok"
WARNING = "warning"
PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    check: str
    state: str
    """:data:`OK`, :data:`WARNING` (it works, but could be better) or :data:`PROBLEM`."""
    found: str
    fix: str = ""
    """What to do; empty where nothing needs to be done, or where ``found`` says it."""
