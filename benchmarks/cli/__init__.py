"""``tmgc-bench``: the benchmark itself, and the subcommand that compares two of its reports.

``compare`` as the first argument is the subcommand, also where a run is called so; ``./compare`` is the run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare two reports where the first argument says so, or measure."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["compare"]:
        from benchmarks.cli.compare import main as compare

        compare(given[1:], prog_name="tmgc-bench compare")
    else:
        from benchmarks.cli.bench import main as bench

        bench(given, prog_name="tmgc-bench")
