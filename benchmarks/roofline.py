"""The most multiplications a second that this machine was seen to do: what every row is held against.

No library's matrix product is an upper bound by itself, so the best of several libraries, operations and sizes counts,
each by its quickest run. ``python -m benchmarks.roofline --threads 2`` prints it alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from time import perf_counter
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.worker import environment, pin
from edge_runtime.cli.base import OneLineCommand
from edge_runtime.errors import first_line

MATRICES = (256, 512, 1024, 2048)
"""Sides of square matrices."""

CONVOLUTIONS = ((1, 28, 256), (3, 28, 128), (3, 14, 256))
"""Side of the filter, side of the picture, channels in and out: sizes that picture networks have."""


class Kernel(NamedTuple):
    """Something to multiply with, ready to be timed."""

    name: str
    number: str
    """``float32`` or ``int8``."""
    macs: int
    run: Callable[[], object]


def numpy_kernels() -> Iterator[Kernel]:
    """Products of float32 matrices by numpy's BLAS."""
    for side in MATRICES:
        left, right = _floats(side, side), _floats(side, side)
        out = np.empty((side, side), np.float32)
        yield Kernel(f"numpy {np.__version__} matmul {side}", "float32", side**3, _matmul(left, right, out))


def onnx_kernels(threads: int) -> Iterator[Kernel]:
    """Matrices and convolutions by ONNX Runtime, with constant weights as a network has them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    for number in ("float32", "int8"):
        for shape in (*((side,) for side in MATRICES), *CONVOLUTIONS):
            graph, given, macs = (_onnx_matmul if len(shape) == 1 else _onnx_convolution)(number, *shape)
            session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            name = f"onnxruntime {onnxruntime.__version__} {_words(shape)}"
            yield Kernel(name, number, macs, _session(session, given))


def litert_kernels(threads: int) -> Iterator[Kernel]:
    """Convolutions by LiteRT, from graphs of a single layer that TensorFlow writes."""
    from ai_edge_litert.interpreter import Interpreter

    for number in ("float32", "int8"):
        for shape in CONVOLUTIONS:
            side, picture, channels = shape
            interpreter: Any = Interpreter(model_content=_tflite_convolution(number, *shape), num_threads=threads)
            interpreter.allocate_tensors()
            macs = side**2 * picture**2 * channels**2
            name = f"ai-edge-litert {version('ai-edge-litert')} {_words(shape)}"
            yield Kernel(name, number, macs, interpreter.invoke)


def _words(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"matmul {shape[0]}"
    side, picture, channels = shape
    return f"convolution {side}x{side} of {picture}x{picture}x{channels}"


def _matmul(left: Any, right: Any, out: Any) -> Callable[[], object]:
    return lambda: np.matmul(left, right, out=out)


def _session(session: Any, given: Any) -> Callable[[], object]:
    return lambda: session.run(None, {"given": given})


def _floats(*shape: int) -> Any:
    return np.random.default_rng(0).normal(0, 0.05, shape).astype(np.float32)


def _integers(*shape: int, unsigned: bool = False) -> Any:
    low, kind = (0, np.uint8) if unsigned else (-127, np.int8)
    return np.random.default_rng(0).integers(low, 127, shape).astype(kind)


def _onnx_matmul(number: str, side: int) -> tuple[bytes, Any, int]:
    if number == "float32":
        graph = _onnx_graph("MatMul", [("weights", _floats(side, side))], (side, side), "FLOAT", "FLOAT")
        return graph, _floats(side, side), side**3
    graph = _onnx_graph("MatMulInteger", [("weights", _integers(side, side))], (side, side), "UINT8", "INT32")
    return graph, _integers(side, side, unsigned=True), side**3


def _onnx_convolution(number: str, side: int, picture: int, channels: int) -> tuple[bytes, Any, int]:
    shape, filters = (1, channels, picture, picture), (channels, channels, side, side)
    macs, padding = side**2 * picture**2 * channels**2, [side // 2] * 4
    if number == "float32":
        graph = _onnx_graph("Conv", [("weights", _floats(*filters))], shape, "FLOAT", "FLOAT", pads=padding)
        return graph, _floats(*shape), macs
    scale, zero = np.float32(0.02), np.uint8(128)
    constants = [
        ("given_scale", scale),
        ("given_zero", zero),
        ("weights", _integers(*filters)),
        ("weights_scale", scale),
        ("weights_zero", np.int8(0)),
        ("scale", scale),
        ("zero", zero),
    ]
    graph = _onnx_graph("QLinearConv", constants, shape, "UINT8", "UINT8", pads=padding)
    return graph, _integers(*shape, unsigned=True), macs


def _onnx_graph(
    operation: str, constants: list[tuple[str, Any]], shape: tuple[int, ...], taken: str, made: str, **attributes: Any
) -> bytes:
    """One node whose shape of output is that of its input."""
    from onnx import TensorProto, helper, numpy_helper

    inputs, outputs = (
        [helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)]
        for name, kind in (("given", taken), ("made", made))
    )
    node = helper.make_node(operation, ["given", *(name for name, _ in constants)], ["made"], **attributes)
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants]
    graph = helper.make_graph([node], "kernel", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _tflite_convolution(number: str, side: int, picture: int, channels: int) -> bytes:
    import tensorflow

    weights, shape = _floats(side, side, channels, channels), (1, picture, picture, channels)
    convolve = tensorflow.function(
        lambda given: tensorflow.nn.conv2d(given, weights, strides=1, padding="SAME"),
        input_signature=[tensorflow.TensorSpec(shape, tensorflow.float32)],
    ).get_concrete_function()
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([convolve])
    if number == "int8":
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter([[_floats(*shape)]])
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    return bytes(converter.convert())


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
