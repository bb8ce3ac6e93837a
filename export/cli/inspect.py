"""``tmgc-export inspect``: what stands in an exported file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_runtime.commands import OneLineCommand, one_line_errors


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON document.")
@one_line_errors
def main(file: Path, as_json: bool) -> None:
    """Print the card, input, output, operators and weights of an exported FILE.

    Exit code 2: the file is damaged, or carries no card.
    """
    from export.inspecting import inspected, lines_of

    document = inspected(file)
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else "\n".join(lines_of(document)))
