"""``tmgc-export``: exporting itself, and ``tmgc-export inspect``, which tells what an exported file holds.

A run folder of the name ``inspect`` is reachable as ``./inspect``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import CommandWithSubcommands, OneLineCommand, one_line_errors
from edge_runtime.errors import TmgcError
from edge_runtime.model_card import INPUT_KINDS
from edge_runtime.models import newest_run
from export.recipes import BATCHES, FORMATS, ONNX_OPSET, ONNX_OPSETS, formats_of, graph_options, words_of

if TYPE_CHECKING:
    from export.exporter import Steps
    from export.sources import Source


@click.command(
    "tmgc-export",
    cls=CommandWithSubcommands,
    subcommands={"inspect": "export.cli:inspect"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("model", required=False, type=click.Path(path_type=Path), metavar="[RUN]")
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
    "--input",
    "input_kind",
    type=click.Choice(INPUT_KINDS),
    default=INPUT_KINDS[0],
    show_default=True,
    help="What the files take: picture, or waveform for files that draw the spectrogram themselves.",
)
@click.option(
    "--keep-float",
    multiple=True,
    metavar="PATTERN",
    help="Regular expression: layers whose name it fits are not quantised. May be repeated.",
)
@click.option(
    "--batch",
    type=click.Choice(BATCHES),
    help="Windows that an onnx file takes at a time. Default: dynamic, any number; with --input waveform 1.",
)
@click.option(
    "--opset",
    type=int,
    help=f"Version of an onnx file's operators, {ONNX_OPSETS[0]} to {ONNX_OPSETS[-1]}. Default: {ONNX_OPSET}.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder of the files. Default: RUN/exports."
)
@click.option("--calibration", default=200, show_default=True, help="Training clips that int8 takes its ranges from.")
@click.option("--genres", help="Of a bare model: its genres in the order of its outputs, with commas between.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    help="Of a bare model: JSON with its spectrogram settings, such as a run's dataset.json.",
)
@click.option(
    "--dataset",
    type=click.Path(path_type=Path),
    help="Of a bare model: a prepared run, whose training clips calibrate and whose test clips prove.",
)
@click.option("--architecture", help="Of bare weights (.h5): their network. Default: inception_resnet_v2.")
@click.option("--force", is_flag=True, help="Write over files of earlier exports.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as one JSON document.")
@click.version_option(package_name="tmgc")
@one_line_errors
def main(
    model: Path | None,
    format_: str,
    quantize: tuple[str, ...],
    input_kind: str,
    keep_float: tuple[str, ...],
    batch: str | None,
    opset: int | None,
    output: Path | None,
    calibration: int,
    force: bool,
    as_json: bool,
    **bare: Any,
) -> None:
    """Export a trained RUN (default: the newest under ./runs) for the edge, and compare each file with Keras.

    RUN may also be a bare model: a .keras file, or the weights of an old .h5 file. It needs --genres, --settings and
    --dataset, since nothing leaves here that was not compared.

    tmgc-export inspect FILE tells what an exported file holds.

    Exit code 0: every file is within its tolerances; 1: one is not, and its name says FAILED; 2: bad usage or input.
    """
    words, formats = tuple(words_of(quantize)), tuple(formats_of(format_))
    graph = graph_options(formats, input_kind=input_kind, keep_float=keep_float, batch=batch, opset=opset)
    model = model or newest_run("model.keras")

    from export.exporter import ExportSettings, Steps, export_model

    settings = ExportSettings(formats, words, output, calibration_clips=calibration, force=force, graph=graph)
    source, steps = _source(model, **bare), Steps()
    reports = export_model(source, settings, steps)
    _print(reports, steps, as_json=as_json)
    sys.exit(0 if all(report["parity"]["held"] for report in reports) else 1)


def _source(
    model: Path, *, genres: str | None, settings: Path | None, dataset: Path | None, architecture: str | None
) -> Source:
    from export.sources import BARE_MODELS, OLD_WEIGHTS, source_of_bare_model, source_of_run
    from train.run import Run

    needed = {"--genres": genres, "--settings": settings, "--dataset": dataset}
    if model.suffix not in BARE_MODELS or model.is_dir():
        if given := [name for name, value in {**needed, "--architecture": architecture}.items() if value]:
            raise TmgcError(
                f"{given[0]} is for a bare model ({', '.join(BARE_MODELS)}): {model} is a run. Leave it out"
            )
        return source_of_run(Run(model))
    if architecture and model.suffix not in OLD_WEIGHTS:
        raise TmgcError(f"--architecture is for weights ({', '.join(OLD_WEIGHTS)}): {model} says its own. Leave it out")
    if not (genres and settings and dataset):
        missing = ", ".join(name for name, value in needed.items() if not value)
        raise TmgcError(
            f"a bare model needs its genres, its settings and a dataset to be compared on: {missing} missing. "
            "See tmgc-export --help"
        )
    return source_of_bare_model(
        model,
        genres=tuple(genre.strip() for genre in genres.split(",")),
        settings=settings,
        dataset=Run(dataset),
        architecture=architecture or "inception_resnet_v2",
    )


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


@click.command("inspect", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON document.")
@one_line_errors
def inspect(file: Path, as_json: bool) -> None:
    """Print the card, input, output, operators and weights of an exported FILE.

    Exit code 2: the file is damaged, or carries no card.
    """
    from export.inspection import inspected, lines_of

    document = inspected(file)
    click.echo(json.dumps(document, ensure_ascii=False) if as_json else "\n".join(lines_of(document)))
