"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, pip_install
from edge_runtime.interpreters import ModelInput, TensorInfo, check_signature, failed_load, failed_run, utf8_path
from edge_runtime.model_file import check_digest, read_card

_TYPE_NAMES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxInterpreter:
    """A loaded ``.onnx`` file."""

    def __init__(self, path: Path, *, threads: int) -> None:
        onnxruntime = import_onnxruntime()
        self.card = read_card(path)
        check_digest(path, self.card)
        self.threads = threads
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            source = utf8_path(path)
            content = source if source.isprintable() else path.read_bytes()  # it takes no name that is not UTF-8
            self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no public base class
            raise failed_load(path, self.runtime, error) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.input, self.output = check_signature(path, self.card, map(_info, inputs), map(_info, outputs))
        self.path = path

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        try:
            (batch,) = self._session.run([self.output.name], {self.input.name: model_input[np.newaxis]})
        except Exception as error:  # its exceptions share no public base class
            raise failed_run(self.path, self.runtime, error) from error
        probabilities: NDArray[np.float32] = batch[0]
        return probabilities


def import_onnxruntime() -> Any:
    """Import ONNX Runtime without its telemetry, which since 1.29 reports each model that it loads to Microsoft.

    Its function that disables telemetry comes too late: by then an identifier of the machine has been written.

    Raises
    ------
    TmgcError
        ONNX Runtime is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError:
        raise TmgcError(
            f"an .onnx file needs ONNX Runtime, which is not installed: {pip_install('onnxruntime')}, or listen with a "
            ".tflite file"
        ) from None
    return onnxruntime


def _info(argument: Any) -> TensorInfo:
    return TensorInfo(argument.name, _TYPE_NAMES.get(argument.type, argument.type), tuple(argument.shape))
