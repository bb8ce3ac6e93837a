"""``tmgc-listen``: listening itself, and the subcommands that stand beside it.

A name of :data:`SUBCOMMANDS` as the first argument is a subcommand, also where a file is called so; ``./history`` is
the file. Anything else is for listening.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

SUBCOMMANDS: dict[str, str] = {"history": "edge_runtime.cli.history"}
"""The module of each, with its ``main``: imported only where it is asked for."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand that the first argument names, or listen."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in SUBCOMMANDS:
        import_module(SUBCOMMANDS[given[0]]).main(given[1:], prog_name=f"tmgc-listen {given[0]}")
    else:
        from edge_runtime.cli.listen import main as listen

        listen(given, prog_name="tmgc-listen")
