"""``tmgc-export``, and ``tmgc-export inspect``.

A run folder with the name ``inspect`` is reachable as ``./inspect``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import CommandWithSubcommands, OneLineCommand
from edge_runtime.errors import TmgcError
from edge_runtime.input_kinds import INPUT_KINDS
from edge_runtime.terminal import print_json, print_lines
from export.recipes import (
    BATCHES,
    CALIBRATION_CLIPS,
    FORMATS,
    ONNX_OPSET,
    ONNX_OPSETS,
    graph_options,
    parse_formats,
    parse_quantize,
)

if TYPE_CHECKING:
    from export.sources import Source

log = logging.getLogger("tmgc.export")


@click.command(
    "tmgc-export",
    cls=CommandWithSubcommands,
    subcommands={"inspect": "export.cli:inspect"},
)
@click.argument("model", required=False, type=click.Path(path_type=Path), metavar="[RUN]")
@click.option(
    "--format",
    "format_",
    type=click.Choice([*FORMATS, "all"]),
    default="tflite",
    show_default=True,
    help="File format: tflite for LiteRT, onnx for ONNX Runtime.",
)
@click.option(
    "--quantize",
    multiple=True,
    metavar="RECIPES",
    help="none, float16 (tflite only), dynamic, int8 or all; may be repeated, or list several separated by commas. "
    "Default: the first of int8, dynamic, float16, none that is within tolerance on the validation split; of "
    "MobileNetV3 and musicnn the first of float16, none.",
)
@click.option(
    "--input",
    "input_kind",
    type=click.Choice(INPUT_KINDS),
    default=INPUT_KINDS[0],
    show_default=True,
    help="Input of the files: spectrogram image, or waveform with the spectrogram computed inside the model.",
)
@click.option(
    "--keep-float",
    multiple=True,
    metavar="PATTERN",
    help="Regular expression: operators whose name matches are not quantised. May be repeated.",
)
@click.option(
    "--batch",
    type=click.Choice(BATCHES),
    help="Batch size of onnx files. Default: dynamic, any number of windows; with --input waveform 1.",
)
@click.option(
    "--opset",
    type=int,
    help=f"Operator set of onnx files, {ONNX_OPSETS[0]} to {ONNX_OPSETS[-1]}. Default: {ONNX_OPSET}.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder of the files. Default: RUN/exports."
)
@click.option(
    "--calibration",
    default=CALIBRATION_CLIPS,
    show_default=True,
    help="Number of training clips that calibrate int8.",
)
@click.option("--genres", help="Of a bare model: its genres in the order of its outputs, separated by commas.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    help="Of a bare model: JSON with its spectrogram settings, such as a run's dataset.json.",
)
@click.option(
    "--dataset",
    type=click.Path(path_type=Path),
    help="Of a bare or an adopted model: a prepared run with clips for calibration and comparison.",
)
@click.option("--architecture", help="Of bare weights (.h5): their network. Default: inception_resnet_v2.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of the comparisons. Default: one for each usable core."
)
@click.option("--force", is_flag=True, help="Overwrite files of earlier exports.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as one JSON document.")
@click.version_option(package_name="tmgc")
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
    threads: int | None,
    force: bool,
    as_json: bool,
    **bare: Any,
) -> None:
    """Export a trained RUN (default: the newest under ./runs) for the edge, and compare each file with Keras.

    RUN may also be a bare model: a .keras file, or the weights of an old .h5 file. It needs --genres, --settings and
    --dataset, since every file is compared with Keras. Files of an adopted RUN are compared on synthesised music, or on
    the songs of a --dataset.

    tmgc-export inspect FILE prints what an exported file contains.

    Exit code 0: every file is within its tolerances; 1: one is not, and its name contains FAILED; 2: bad usage or
    input.
    """
    options, formats = tuple(parse_quantize(quantize)), tuple(parse_formats(format_))
    graph = graph_options(formats, input_kind=input_kind, keep_float=keep_float, batch=batch, opset=opset)

    from export.exporter import ExportSettings, export_model
    from train.run import newest_run

    model = model or newest_run("model.keras")
    settings = ExportSettings(formats, options, output, calibration, force=force, graph=graph, threads=threads)
    with _open_source(model, **bare) as source:
        reports = export_model(source, settings)
    _print(reports, as_json=as_json)
    sys.exit(0 if all(report["parity"]["passed"] for report in reports) else 1)


def _open_source(
    model: Path, *, genres: str | None, settings: Path | None, dataset: Path | None, architecture: str | None
) -> AbstractContextManager[Source]:
    from export.sources import BARE_SUFFIXES, WEIGHTS_SUFFIXES, is_adopted, open_adopted, open_bare_model, open_run
    from train.run import Run

    required = {"--genres": genres, "--settings": settings, "--dataset": dataset}
    if model.suffix not in BARE_SUFFIXES or model.is_dir():
        adopted = is_adopted(Run(model))
        if adopted:
            required.pop("--dataset")
        if surplus := [name for name, value in {**required, "--architecture": architecture}.items() if value]:
            raise TmgcError(
                f"{surplus[0]} is for a bare model ({', '.join(BARE_SUFFIXES)}): {model} is a run. Leave it out"
            )
        return open_adopted(Run(model), Run(dataset) if dataset else None) if adopted else open_run(Run(model))
    if architecture and model.suffix not in WEIGHTS_SUFFIXES:
        raise TmgcError(
            f"--architecture is for weights ({', '.join(WEIGHTS_SUFFIXES)}): {model} contains its own. Leave it out"
        )
    if not (genres and settings and dataset):
        missing = ", ".join(name for name, value in required.items() if not value)
        raise TmgcError(
            f"a bare model needs its genres, its settings and a dataset to be compared on: {missing} missing. "
            "See tmgc-export --help"
        )
    return open_bare_model(
        model,
        genres=tuple(genre.strip() for genre in genres.split(",")),
        settings=settings,
        dataset=Run(dataset),
        architecture=architecture or "inception_resnet_v2",
    )


def _print(reports: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """The table, its notes and the next step on standard error, the data on standard output."""
    from rich.console import Console

    from export.report import SCHEMA, parity_notes, parity_table

    Console(stderr=True, highlight=False).print(parity_table(reports))
    if caveat := reports[0]["parity"]["caveat"]:
        log.warning("%s", caveat)
    for note in parity_notes(reports):
        log.info("%s", note)
    if as_json:
        print_json(json.dumps({"schema": SCHEMA, "reports": reports}, ensure_ascii=False))
    else:
        print_lines(report["file"] for report in reports)
    if all(report["parity"]["passed"] for report in reports):
        log.info("Listen with it: tmgc-listen song.mp3 --model %s", reports[0]["file"])


@click.command(
    "inspect",
    cls=OneLineCommand,
    short_help="Print what an exported file contains.",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def inspect(file: Path, as_json: bool) -> None:
    """Print the card, input, output, operators and weights of an exported FILE.

    Exit code 2: the file is damaged, or has no card.
    """
    from export.report import format_inspection, inspect_file

    document = inspect_file(file)
    if as_json:
        print_json(json.dumps(document, ensure_ascii=False))
        return
    print_lines(format_inspection(document))
