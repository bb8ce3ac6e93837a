"""``tmgc-export``: from a trained run to files for the edge, each compared with Keras."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.commands import OneLineCommand, newest_run, one_line_errors
from export.recipes import FORMATS, formats_of, words_of

if TYPE_CHECKING:
    from export.progress import Steps


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice([*FORMATS, "all"]),
    default="tflite",
    show_default=True,
    help="Kind of file: tflite for LiteRT, onnx for ONNX Runtime.",
)
@click.option(
    "--quantize",
    multiple=True,
    metavar="RECIPES",
    help="none, float16 (tflite only), dynamic, int8 or all; may be repeated, or hold several with commas between. "
    "Default: the first of int8, dynamic, float16, none that is within tolerance on the validation split.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder of the files. Default: RUN/exports."
)
@click.option("--calibration", default=200, show_default=True, help="Training clips that int8 takes its ranges from.")
@click.option("--force", is_flag=True, help="Write over files of earlier exports.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as one JSON document.")
@click.version_option(package_name="tmgc")
@one_line_errors
def main(
    run: Path | None,
    format_: str,
    quantize: tuple[str, ...],
    output: Path | None,
    calibration: int,
    force: bool,
    as_json: bool,
) -> None:
    """Export a trained RUN (default: the newest under ./runs) for the edge, and compare each file with Keras.

    Exit code 0: every file is within its tolerances; 1: one is not, and its name says FAILED; 2: bad usage or input.
    """
    words = tuple(words_of(quantize))
    run = run or newest_run("model.keras")

    from export.exporting import ExportSettings, export_run
    from export.progress import Steps
    from train.run import Run

    settings = ExportSettings(
        formats=tuple(formats_of(format_)), words=words, output=output, calibration_clips=calibration, force=force
    )
    folder, steps = Run(run).existing(), Steps()
    reports = export_run(folder, settings, steps)
    _print(reports, steps, as_json=as_json)
    sys.exit(0 if all(report["parity"]["held"] for report in reports) else 1)


def _print(reports: Sequence[Mapping[str, Any]], steps: Steps, *, as_json: bool) -> None:
    """The table and what to do next on standard error, the data on standard output."""
    import json

    from export.report import SCHEMA, parity_table

    steps.console.print(parity_table(reports))
    for line in _remarks(reports):
        steps.say(line)
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "reports": reports}, ensure_ascii=False))
    else:
        for report in reports:
            click.echo(report["file"])
    held = [report["file"] for report in reports if report["parity"]["held"]]
    if len(held) == len(reports):
        steps.say(f"Listen with it: tmgc-listen song.mp3 --model {held[0]}")


def _remarks(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the table has no room for: too few windows, and the misses with the worst clips."""
    lines = []
    if caveat := reports[0]["parity"]["caveat"]:
        lines.append(f"warning: {caveat}")
    for report in reports:
        parity = report["parity"]
        lines += [f"{report['file']}: {miss}" for miss in parity["misses"]]
        if not parity["held"]:
            lines.append(f"{report['file']}: worst clips: {', '.join(parity['worst_clips'])}")
    return lines
