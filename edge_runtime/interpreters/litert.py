"""TFLite files, run by LiteRT or by one of its predecessors."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, UntrustedModelError, first_line, pip_install
from edge_runtime.interpreters import ENGINES, ModelInput, TensorInfo, check_signature, failed_run
from edge_runtime.model_file import check_digest, read_card
from edge_runtime.native_stderr import silence_native_stderr


class Delegation(NamedTuple):
    """How much of a network the delegate, XNNPACK, runs."""

    operators: int
    """Number of operators in the file."""
    delegated: int
    """Number of those that the delegate runs."""
    others: dict[str, int]
    """Number of the others by type, the most frequent first: the interpreter's own kernels run them, which are slower,
    and each splits the delegate's part."""


class LiteRTInterpreter:
    """A loaded ``.tflite`` file.

    Parameters
    ----------
    path : Path
    threads : int > 0
    engine : str, optional
        One of :data:`edge_runtime.interpreters.ENGINES` for such files; the first that is installed by default.
    content : bytes, optional
        Is loaded instead of the file: the same model with further outputs.
    """

    def __init__(self, path: Path, *, threads: int, engine: str | None = None, content: bytes | None = None) -> None:
        self.card = read_card(path)
        check_digest(path, self.card)
        self.threads = threads
        module, self.runtime = import_runtime(engine)
        if self.runtime.startswith("tflite-runtime") and self.card.export.get("recipe") == "dynamic":
            raise TmgcError(
                f"a dynamic-range model needs LiteRT: {self.runtime} computes wrong probabilities for {path}. "
                f"Use the int8 or the float32 export, or {pip_install('ai-edge-litert')}"
            )
        try:
            source = {"model_content": content} if content else {"model_path": os.fsencode(path)}
            with silence_native_stderr(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TensorFlow's own interpreter is deprecated
                self._interpreter: Any = module.Interpreter(**source, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, TypeError) as error:
            raise UntrustedModelError(
                f"{path} cannot be run by {self.runtime} ({first_line(error)}): it may be damaged, made for a newer "
                f"interpreter, or too large for the memory. Copy it again, update with: "
                f"{pip_install('--upgrade', 'ai-edge-litert')}, or take the int8 export"
            ) from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.input, self.output = check_signature(
            path, self.card, map(_info, inputs), map(_info, outputs[:1] if content else outputs)
        )
        self.path, self._input_index, self._output_index = path, inputs[0]["index"], outputs[0]["index"]

    @property
    def accelerated(self) -> bool:
        """Whether XNNPACK runs at least a part of the network; without it, latency is several times as high."""
        delegation = self.delegation
        return delegation is not None and delegation.delegated > 0

    @property
    def delegation(self) -> Delegation | None:
        """Which operators XNNPACK runs; None where the interpreter does not tell.

        The interpreter lists all operators of the file, and behind them a node for each part that a delegate runs
        instead. What is computed is found from the outputs backwards: a tensor comes from a delegate where one has it
        among its outputs, else from an operator of the file, which then runs itself.
        """
        try:
            nodes = self._interpreter._get_ops_details()
        except AttributeError:
            return None
        delegates = [node for node in nodes if _is_delegate(node)]
        own = [node for node in nodes if not _is_delegate(node)]
        source = {int(tensor): node for node in (*own, *delegates) for tensor in node["outputs"]}
        wanted, running = [details["index"] for details in self._interpreter.get_output_details()], dict[int, Any]()
        while wanted:
            node = source.get(int(wanted.pop()))
            if node is not None and node["index"] not in running:
                running[node["index"]] = node
                wanted.extend(node["inputs"])
        others = Counter(node["op_name"] for node in own if node["index"] in running)
        return Delegation(len(own), len(own) - others.total(), dict(others.most_common()))

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        try:
            self._interpreter.set_tensor(self._input_index, model_input[np.newaxis])
            self._interpreter.invoke()
            probabilities: NDArray[np.float32] = self._interpreter.get_tensor(self._output_index)[0]
        except (ValueError, RuntimeError) as error:
            raise failed_run(self.path, self.runtime, error) from error
        return probabilities


def _is_delegate(node: dict[str, Any]) -> bool:
    return node["op_name"] == "DELEGATE" or "XNNPack" in node["op_name"]


def _info(details: dict[str, Any]) -> TensorInfo:
    return TensorInfo(details["name"], np.dtype(details["dtype"]).name, tuple(map(int, details["shape"])))


def import_runtime(engine: str | None = None) -> tuple[Any, str]:
    """Import a library that runs ``.tflite`` files, by default the first that is installed.

    Parameters
    ----------
    engine : str, optional
        One of :data:`edge_runtime.interpreters.ENGINES`.

    Returns
    -------
    module : module
        Has a class ``Interpreter``.
    runtime : str
        Name and version.

    Raises
    ------
    TmgcError
        None is installed.
    """
    candidates = [each for each in ENGINES.values() if each.suffix == ".tflite"]
    for candidate in candidates if engine is None else [ENGINES[engine]]:
        try:
            module = importlib.import_module(candidate.module)
        except ImportError:
            continue
        return module, f"{candidate.distribution} {candidate.version or '(version unknown)'}"
    if sys.maxsize < 2**32:
        raise TmgcError(
            f"a .tflite file needs LiteRT, which exists for 64-bit systems alone, and this is a 32-bit one "
            f"({platform.machine()}): install the 64-bit Raspberry Pi OS"
        )
    raise TmgcError(
        f"a .tflite file needs an interpreter and none is installed: {pip_install('ai-edge-litert')} "
        "(tflite-runtime on an old system), or export with --format onnx, which needs onnxruntime"
    )
