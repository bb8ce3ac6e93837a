"""``tmgc-bench check``: one subcommand a check; each prints its ratio, the machine and the versions."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import click

from edge_runtime.cli.base import OneLineCommand, OneLineGroup
from edge_runtime.models import default_model
from edge_runtime.terminal import print_json, print_lines

log = logging.getLogger("tmgc.bench")


class FiniteRange(click.FloatRange):
    """A number within a range, which neither NaN nor infinity is."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The number.

        Raises
        ------
        click.BadParameter
            It is none, or out of the range.
        """
        number = super().convert(value, parameter, context)
        if not isfinite(number):
            self.fail(f"{value} is not a finite number.", parameter, context)
        return number


_HOP = FiniteRange(min=0, min_open=True, max=60)


@click.group("check", cls=OneLineGroup, short_help="Measure the speed or memory of one part.")
def check() -> None:
    """Measure the speed or memory of one part, and print its ratio to what it is compared with."""


def _command(name: str, short_help: str) -> Callable[[Callable[..., None]], click.Command]:
    """A check's click command, with ``--json``."""

    def decorate(function: Callable[..., None]) -> click.Command:
        option = click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
        command: click.Command = check.command(name, cls=OneLineCommand, short_help=short_help)(option(function))
        return command

    return decorate


def _print(result: Any, lines: Sequence[str], *, as_json: bool) -> None:
    """Print a check's figures, and the machine and versions that they belong to."""
    from benchmarks.documents import dumps, to_document
    from benchmarks.system_info import describe_machine

    machine = describe_machine()
    if as_json:
        print_json(dumps({**to_document(result), "machine": to_document(machine)}))
        return
    print_lines((*lines, str(machine), machine.versions_line))


@_command("start-up", "tmgc-listen against the reference, from process start")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--case", "name", default="tflite-int8", show_default=True, help="The export, as tmgc-bench names it.")
@click.option("--pairs", default=5, show_default=True, type=click.IntRange(min=1), help="Starts of each.")
def start_up(run: Path | None, name: str, pairs: int, as_json: bool) -> None:
    """Time tmgc-listen against the reference pipeline, from the start of the process to the prediction.

    Both classify two seconds of RUN, a folder of tmgc-train; by default the newest under ./runs.
    """
    from benchmarks.checks.start_up import time_start_up
    from train.run import Run, newest_run

    result = time_start_up(
        Run(run or newest_run("model.keras")).existing(),
        name,
        pairs=pairs,
        progress=lambda pair: log.info("%s", f"pair {pair} of {pairs}" if pair else "warming the system's file cache"),
    )
    _print(result, result.lines, as_json=as_json)


@_command("soak", "Memory, files and threads after hours of audio")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--hours", default=10.0, show_default=True, type=FiniteRange(min=0.05), help="Of audio.")
@click.option("--threads", type=click.IntRange(min=1), help="Of the model. Default: as tmgc-listen.")
def soak(model: Path | None, hours: float, threads: int | None, as_json: bool) -> None:
    """Stream hours of synthesised audio through MODEL at full speed and compare memory, files and threads.

    MODEL is a .tflite or .onnx file of tmgc-export; by default that of tmgc-listen.

    Exit code 0: memory, files and threads have not grown; 1: they have; 2: the file was refused.
    """
    from benchmarks.checks.soak import soak as stream

    model = model or default_model()
    log.info("%s: %g h of audio at full speed ...", model, hours)
    result = stream(model, hours=hours, threads=threads)
    _print(result, result.lines, as_json=as_json)
    sys.exit(0 if result.passed else 1)


@_command("preparing", "tmgc-train prepare against the reference's script")
@click.option("--songs", default=1500, show_default=True, type=click.IntRange(min=12), help="Songs to prepare.")
@click.option(
    "--sample", default=80, show_default=True, type=click.IntRange(min=2), help="Clips in the reference's way."
)
def preparing(songs: int, sample: int, as_json: bool) -> None:
    """Time tmgc-train prepare against the reference's script on synthesised mp3 songs."""
    from benchmarks.checks.preparing import SONG_SECONDS, time_preparing

    log.info("synthesising mp3 songs of %g s ...", SONG_SECONDS)
    result = time_preparing(songs, sample=sample)
    _print(result, result.lines, as_json=as_json)


@_command("listening", "What listening adds to the inference of a model")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--windows", default=40, show_default=True, type=click.IntRange(min=1), help="Windows to time.")
@click.option("--hop", default=1.0, show_default=True, type=_HOP, help="Seconds between them.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Threads of the interpreter.")
def listening(model: Path | None, windows: int, hop: float, threads: int, as_json: bool) -> None:
    """Measure what listening adds to the inference of MODEL (default: that of tmgc-listen): time and memory.

    Windows are timed in real time. Memory is that of a tmgc-listen process after half a minute of sound.
    """
    from benchmarks.checks.listening import measure_overhead

    model = model or default_model()
    log.info("%s: %d windows, one every %g s, with %d thread(s) ...", model, windows, hop, threads)
    result = measure_overhead(model, threads=threads, windows=windows, hop_seconds=hop)
    _print(result, result.lines, as_json=as_json)


@_command("serve", "What the page and the API cost a listener")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--seconds", default=60.0, show_default=True, type=FiniteRange(min=4), help="Of listening, and of load.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Threads of the interpreter.")
def serve(model: Path | None, seconds: float, threads: int, as_json: bool) -> None:
    """Measure what serving adds to a listener of MODEL (default: that of tmgc-listen), and a server under load.

    It takes a little more than three times the seconds.

    Exit code 0: every figure is within its limit; 1: one is not; 2: the model was refused.
    """
    from benchmarks.checks.serving import measure_serving

    model = model or default_model()
    log.info("%s: listening twice for %g s, and %g s of load ...", model, seconds, seconds)
    result = measure_serving(model, threads=threads, seconds=seconds)
    _print(result, result.lines, as_json=as_json)
    sys.exit(0 if result.passed else 1)


@_command("archive", "tmgc-tag against a plain loop over songs")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--songs", default=200, show_default=True, type=click.IntRange(min=2), help="Songs to tag.")
@click.option("--seconds", default=180.0, show_default=True, type=FiniteRange(min=3), help="Of each song.")
@click.option("--sample", default=10, show_default=True, type=click.IntRange(min=2), help="Songs of the plain loop.")
@click.option("--windows", default=8, show_default=True, type=click.IntRange(min=1, max=50), help="Of each song.")
@click.option("--planned", default=10_000_000, show_default=True, type=click.IntRange(min=1), help="Songs to plan.")
@click.option("--listed", default=200_000, show_default=True, type=click.IntRange(min=1), help="Empty files to list.")
@click.option("--ray", is_flag=True, help="Time Ray on this machine, too.")
def archive(
    model: Path | None,
    songs: int,
    seconds: float,
    sample: int,
    windows: int,
    planned: int,
    listed: int,
    ray: bool,
    as_json: bool,
) -> None:
    """Time tmgc-tag with MODEL (default: that of tmgc-listen) on synthesised mp3 songs, and plan a simulated library.

    Exit code 0: rates, memory and planning are within their limits; 1: they are not; 2: the model was refused.
    """
    from benchmarks.checks.archive import time_archive

    model = model or default_model()
    log.info("%s: %d mp3 songs of %g s ...", model, songs, seconds)
    result = time_archive(
        model,
        songs,
        sample=min(sample, songs),
        windows=windows,
        planned=planned,
        listed=listed,
        seconds=seconds,
        ray=ray,
    )
    _print(result, result.lines, as_json=as_json)
    sys.exit(0 if result.passed else 1)


@_command("streamed-spectrogram", "Streamed frames against whole windows")
@click.option("--windows", default=100, show_default=True, type=click.IntRange(min=2), help="Windows to time.")
@click.option("--hop", default=1.0, show_default=True, type=_HOP, help="Seconds between them.")
@click.option("--sample-rate", default=44_100, show_default=True, help="Hz.")
def streamed_spectrogram(windows: int, hop: float, sample_rate: int, as_json: bool) -> None:
    """Time spectrograms whose frames are computed as they come against spectrograms of whole windows."""
    from benchmarks.checks.streamed_spectrogram import time_streaming
    from edge_runtime.spectrogram import SpectrogramSettings

    settings = SpectrogramSettings(sample_rate=sample_rate)
    log.info("%d windows, one every %g s, at %d Hz ...", windows, hop, sample_rate)
    result = time_streaming(settings, windows=windows, hop_seconds=hop)
    _print(result, result.lines, as_json=as_json)


@_command("peak", "Multiply-accumulates a second of this machine")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1), help="Threads of the libraries.")
def peak(threads: int, as_json: bool) -> None:
    """Measure the machine's peak of multiply-accumulates a second, float32 and int8.

    Exit code 0: measured; 1: no library could be measured.
    """
    from benchmarks.roofline import measure_peak, peak_lines

    result = measure_peak(threads)
    _print(result, peak_lines(result), as_json=as_json)
    sys.exit(0 if result.kernels else 1)
