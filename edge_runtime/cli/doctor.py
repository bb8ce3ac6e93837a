"""``tmgc-listen doctor``: checks of the machine, the microphone and a model."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from edge_runtime.cli.base import OneLineCommand, engine_option, threads_option
from edge_runtime.terminal import print_json, print_line

SCHEMA = 1
"""Version of the JSON document."""


@click.command(
    "doctor",
    cls=OneLineCommand,
    short_help="Check this machine, its microphone and a model.",
)
@click.option("--model", type=click.Path(path_type=Path), help="The model file. Default: as for tmgc-listen.")
@click.option("--device", help="The microphone: number or a part of its name.")
@threads_option
@engine_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
def doctor(model: Path | None, device: str | None, threads: int | None, engine: str, as_json: bool) -> None:
    """Check this machine, its microphone and a model, and tell what to fix.

    Exit code 0: it can listen; 1: something must be fixed first; 2: an option was refused.
    """
    from edge_runtime.doctor import PROBLEM, examine

    findings = []
    for finding in examine(model, device, threads=threads, engine=engine):
        findings.append(finding)
        if not as_json:
            fix = f". To do: {finding.fix}" if finding.fix else ""
            print_line(f"{finding.state:<8} {finding.check}: {finding.found}{fix}")
    if as_json:
        document = {"schema": SCHEMA, "findings": [asdict(finding) for finding in findings]}
        print_json(json.dumps(document, ensure_ascii=False))
    sys.exit(1 if any(finding.state == PROBLEM for finding in findings) else 0)
