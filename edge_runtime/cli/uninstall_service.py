"""``tmgc-listen uninstall-service``: takes away what ``install-service`` has put in place."""

from __future__ import annotations

import click

from edge_runtime.commands import OneLineCommand, one_line_errors, say


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@one_line_errors
def main() -> None:
    """Stop the service and take its unit away; its program, its user and its state stay."""
    from edge_runtime.service.installing import check_system, left_behind, uninstall

    check_system()
    say(f"{uninstall()}: stopped and taken away")
    say(f"left as they are: {', '.join(map(str, left_behind()))} and the user that it ran as")
