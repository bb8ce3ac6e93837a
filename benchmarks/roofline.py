"""The most multiplications a second that this machine was seen to do: what every row is held against.

No library's matrix product is an upper bound by itself, so the best of several libraries, operations and sizes counts,
each by its quickest run. ``python -m benchmarks.roofline --threads 2`` prints it alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

import click

from benchmarks.kernels import Kernel, litert_kernels, numpy_kernels, onnx_kernels
from benchmarks.process import environment, pin
from edge_runtime.commands import OneLineCommand
from edge_runtime.errors import first_line

_SECONDS = 0.25
"""Each kernel is run for so long."""


def measure_peak(threads: int) -> dict[str, Any]:
    """The machine's peak, measured in a process of its own on the cores that the rows are pinned to.

    Parameters
    ----------
    threads : int > 0

    Returns
    -------
    peak : dict
        ``float32`` and ``int8``: ``gmacs_per_s`` and ``kernel`` of the best, None where no kernel ran; ``kernels``:
        each that ran; ``failed``: a line for each library that could not.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "benchmarks.roofline", "--threads", str(threads)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(threads),
        encoding="utf-8",
    )
    pin(process.pid, threads)
    written, _ = process.communicate()
    if process.returncode:
        return peak_of([], [f"the process that measures the peak ended with exit code {process.returncode}"])
    peak: dict[str, Any] = json.loads(written.splitlines()[-1])
    return peak


def peak_of(kernels: Sequence[dict[str, Any]], failed: Sequence[str]) -> dict[str, Any]:
    """The best of each kind of number, and all that were measured."""
    best = {
        number: max(
            (kernel for kernel in kernels if kernel["number"] == number),
            key=lambda kernel: kernel["gmacs_per_s"],
            default=None,
        )
        for number in ("float32", "int8")
    }
    return {**best, "kernels": list(kernels), "failed": list(failed)}


def achieved(
    row: Mapping[str, Any], macs: int | None, peak: Mapping[str, Any] | None, recipe: str
) -> dict[str, Any] | None:
    """How near a row comes to the peak while its network runs.

    Parameters
    ----------
    row : dict
        As in a report.
    macs : int or None
        Of its network.
    peak : dict or None
        Of :func:`measure_peak` with as many threads.
    recipe : str
        ``int8`` and ``dynamic`` files multiply integers and are held against the peak of those.

    Returns
    -------
    roofline : dict or None
        ``macs``, ``gmacs_per_s`` (by the median of the stage ``model``), ``number`` and ``share_of_peak``.
    """
    if macs is None:
        return None
    number = "int8" if recipe in ("int8", "dynamic") else "float32"
    gmacs_per_s = macs / row["stages_ms"]["model"] / 1e6
    best = peak[number] if peak else None
    share = gmacs_per_s / best["gmacs_per_s"] if best else None
    return {"macs": macs, "gmacs_per_s": gmacs_per_s, "number": number, "share_of_peak": share}


def timed_kernel(kernel: Kernel, seconds: float = _SECONDS) -> dict[str, Any]:
    """The rate of a kernel's quickest run."""
    kernel.run()
    quickest, end = float("inf"), perf_counter() + seconds
    while perf_counter() < end:
        begun = perf_counter()
        kernel.run()
        quickest = min(quickest, perf_counter() - begun)
    return {"kernel": kernel.name, "number": kernel.number, "gmacs_per_s": kernel.macs / quickest / 1e9}


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1), help="Threads of the libraries.")
def main(threads: int) -> None:
    """Print the peak as one line of JSON, in GMACs a second."""
    measured, failed = [], []
    sources: dict[str, Iterable[Kernel]] = {
        "numpy": numpy_kernels(),
        "onnxruntime": onnx_kernels(threads),
        "ai-edge-litert": litert_kernels(threads),
    }
    for library, kernels in sources.items():
        try:
            measured += [timed_kernel(kernel) for kernel in kernels]
        except Exception as error:  # a library that is not here, or cannot do it, leaves the word to the others
            failed.append(f"{library}: {first_line(error)}")
    click.echo(json.dumps(peak_of(measured, failed)))


if __name__ == "__main__":
    main()
