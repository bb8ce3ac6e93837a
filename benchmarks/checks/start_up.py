"""From nothing to an answer: ``tmgc-listen two-seconds.wav`` against the original's way, each from its process' start.

``tmgc-bench check start-up RUN`` starts both in turn, several times, and prints how long each takes until it has
ended with its answer, the ratio, and the machine. Both find their files in the system's cache: a first pair warms it
and is not counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import click
import numpy as np

from benchmarks.cases import OF_THE_NETWORK, RowSpec, rows_of
from benchmarks.inputs import excerpts_of_run
from benchmarks.pipelines import read_window
from benchmarks.report import pairwise_ratio
from benchmarks.system_info import describe_machine, one_line, usable_cores
from benchmarks.worker import environment
from edge_runtime.cli.base import OneLineCommand, one_line_errors, say
from edge_runtime.errors import TmgcError
from edge_runtime.models import newest_run
from edge_runtime.spectrogram import SpectrogramSettings
from train.run import Run

_LISTEN = ("-c", "from edge_runtime.cli.listen import main; main()")


@click.command("start-up", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--row", "name", default="tflite-int8", show_default=True, help="The export, as tmgc-bench names it.")
@click.option("--pairs", default=5, show_default=True, type=click.IntRange(min=1), help="Starts of each.")
@one_line_errors
def main(run: Path | None, name: str, pairs: int) -> None:
    """Race the start of tmgc-listen against that of the original pipeline on two seconds of sound of RUN."""
    chosen = Run(run or newest_run("model.keras")).existing()
    model = _export(chosen, name)
    with tempfile.TemporaryDirectory() as folder:
        sound = write_window(chosen, Path(folder) / "two-seconds.wav")
        original = ("-m", "benchmarks.reference", str(chosen.model), str(sound))
        listen = (*_LISTEN, str(sound), "--model", str(model.model))
        times: dict[str, list[float]] = {"original": [], f"tmgc-listen ({model.name})": []}
        for pair in range(pairs + 1):
            say(f"pair {pair} of {pairs}" if pair else "warming the system's cache")
            for spent, arguments in zip(times.values(), (original, listen), strict=True):
                spent.append(seconds_of(arguments))
    slow, fast = (spent[1:] for spent in times.values())
    for who, spent in times.items():
        click.echo(
            f"{who}: {np.median(spent[1:]):.2f} s (median of {pairs}, {min(spent[1:]):.2f}-{max(spent[1:]):.2f})"
        )
    ratio = pairwise_ratio(slow, fast, rounds=pairs)
    click.echo(f"ratio: {ratio['median']:.1f} ({ratio['low']:.1f}-{ratio['high']:.1f})")
    click.echo(one_line(describe_machine()))


def write_window(run: Run, path: Path) -> Path:
    """Two seconds of a test clip as a file of their own."""
    import soundfile

    settings = SpectrogramSettings()
    soundfile.write(path, read_window(excerpts_of_run(run)[0], settings), settings.sample_rate)
    return path


def seconds_of(arguments: Sequence[str]) -> float:
    """How long a process of this Python takes from its start to its end.

    Raises
    ------
    TmgcError
        It failed.
    """
    begun = perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        env=environment(usable_cores()),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    spent = perf_counter() - begun
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise TmgcError(f"a process that is timed must answer: {arguments[1]} ended with {done.returncode} ({last})")
    return spent


def _export(run: Run, name: str) -> RowSpec:
    rows = [row for row in rows_of(run)[0] if row.name not in OF_THE_NETWORK]
    for row in rows:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in rows) or f"none: run tmgc-export {run.folder}"
    raise TmgcError(f"an export of the run must be named: got {name!r}, there are {known}")
