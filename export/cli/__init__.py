"""``tmgc-export``: exporting itself, and ``tmgc-export inspect``, which tells what an exported file holds.

A run folder of the name ``inspect`` is reachable as ``./inspect``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

INSPECT = "inspect"


def main(arguments: Sequence[str] | None = None) -> None:
    """Inspect a file where the first argument says so, or export."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [INSPECT]:
        from export.cli.inspect import main as inspect

        inspect(given[1:], prog_name=f"tmgc-export {INSPECT}")
    else:
        from export.cli.export import main as export

        export(given, prog_name="tmgc-export")
