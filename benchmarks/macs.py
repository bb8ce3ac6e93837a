"""How many multiplications with an addition (MACs) a TFLite graph needs for an answer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any


def macs_of(model: Path) -> int | None:
    """MACs of one answer, counted over the graph's convolutions and dense layers; None without LiteRT to read it.

    What else a network does (adding, pooling, activations) is not counted, as is usual.

    Parameters
    ----------
    model : Path
        A ``.tflite`` file.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        return None
    # Delegates would hide what they take over. Nothing is allocated: the shapes stand in the file.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter: Any = Interpreter(model_path=str(model), experimental_op_resolver_type=plain)
    shapes = {tensor["index"]: tensor["shape"].tolist() for tensor in interpreter.get_tensor_details()}
    return sum(_macs(operation, shapes) for operation in interpreter._get_ops_details())


def _macs(operation: dict[str, Any], shapes: dict[int, list[int]]) -> int:
    kind = operation["op_name"]
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return 0
    given, weights = shapes[operation["outputs"][0]], shapes[operation["inputs"][1]]
    # Weights are (out, height, width, in), (out, in), or (1, height, width, out) where each channel stays by itself:
    # what one value of the output takes is their number over that of the output's channels.
    return math.prod(given) * math.prod(weights) // given[-1]
