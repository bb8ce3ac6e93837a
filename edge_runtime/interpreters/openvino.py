"""ONNX files, run by OpenVINO.

OpenVINO reads TFLite files, too, but not the quantised ones of ``tmgc-export`` (as of 2026.4.1 its front end refuses
them), so it is given the ONNX file of a model.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, pip_install
from edge_runtime.interpreters import ModelInput, TensorInfo, check_signature, failed_load, failed_run
from edge_runtime.model_file import check_digest, read_card

_EXACT = {"EXECUTION_MODE_HINT": "ACCURACY", "INFERENCE_PRECISION_HINT": "f32"}
"""By default, float32 is computed in bfloat16 or float16 where the processor can, and inputs of some layers are
quantised: the parity of a file would then depend on the board."""

_LATENCY = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    # Every process would pin its threads to the same cores, among them those that the audio needs.
    "ENABLE_CPU_PINNING": False,
}

_ORIGIN = re.compile(r"Check '|Exception from |FrontEnd API failed with |\s*$")
"""Lines of an error that say where in the library's source it was raised."""


class OpenVinoInterpreter:
    """A loaded ``.onnx`` file, computed in the arithmetic that it is written in.

    Parameters
    ----------
    path : Path
    threads : int > 0
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        openvino = import_openvino()
        self.card = read_card(path)
        check_digest(path, self.card)
        self.threads = threads
        self.runtime = f"openvino {openvino.__version__.partition('-')[0]}"
        options = runtime_options(threads)
        try:
            # The one front end: read_model would try those of all other formats on a file that this one refuses.
            reader = openvino.frontend.FrontEndManager().load_by_framework("onnx")
            model = reader.convert(reader.load(path))
            inputs, outputs = map(_info, model.inputs), map(_info, model.outputs)
            self.input, self.output = check_signature(path, self.card, inputs, outputs)
            model.reshape([1, *self.card.input_shape])
            self._request: Any = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        except TmgcError:
            raise
        except Exception as error:  # its exceptions share no public base class
            raise failed_load(path, self.runtime, _without_origin(error)) from error
        self.path = path

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        try:
            outputs = self._request.infer([model_input[np.newaxis]], share_inputs=True)
        except Exception as error:  # its exceptions share no public base class
            raise failed_run(self.path, self.runtime, _without_origin(error)) from error
        probabilities: NDArray[np.float32] = outputs[0][0]
        return probabilities


def runtime_options(threads: int) -> dict[str, Any]:
    """Exact arithmetic and the lowest latency of one window."""
    return {**_EXACT, **_LATENCY, "INFERENCE_NUM_THREADS": threads}


def import_openvino() -> Any:
    """Import OpenVINO, which reports each import to Google Analytics unless its telemetry package is missing.

    The package is a dependency of OpenVINO. It is hidden here, and OpenVINO takes the stub that it has for that case.

    Raises
    ------
    TmgcError
        OpenVINO is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise TmgcError(
            f"the engine openvino needs OpenVINO, which is not installed: {pip_install('openvino')}, or take another "
            "engine"
        ) from None
    return openvino


def _without_origin(error: Exception) -> Exception:
    lines = [line for line in str(error).splitlines() if not _ORIGIN.match(line)]
    return RuntimeError("\n".join(lines)) if lines else error


def _info(port: Any) -> TensorInfo:
    shape = (size.get_length() if size.is_static else str(size) for size in port.partial_shape)
    return TensorInfo(port.any_name, port.element_type.to_dtype().name, tuple(shape))
