"""The embedding of a window: what the last dense layer of a ``.tflite`` model takes, beside the probabilities."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, pip_install
from edge_runtime.interpreters.litert import LiteRTInterpreter

_OUTPUTS_FIELD = 8
"""Of the table SubGraph in TFLite's schema."""


class EmbeddingInterpreter(LiteRTInterpreter):
    """A loaded ``.tflite`` file with a second output.

    Parameters
    ----------
    path : Path
    threads : int > 0

    Raises
    ------
    TmgcError
        As of :class:`~edge_runtime.interpreters.litert.LiteRTInterpreter`; or the model has another format, or no dense
        layer.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        if path.suffix != ".tflite":
            raise TmgcError(f"--embeddings needs a .tflite file: got {path}. Export one with tmgc-export")
        super().__init__(path, threads=threads, content=_with_second_output(path))
        self._embedding: dict[str, Any] = self._interpreter.get_output_details()[1]

    @property
    def embedding(self) -> NDArray[np.float32]:
        """Of the window that was classified last, ``[shape=(n,)], float32``."""
        values: NDArray[Any] = self._interpreter.get_tensor(self._embedding["index"]).reshape(-1)
        scale, zero_point = self._embedding["quantization"]
        return (values.astype(np.float32) - zero_point) * np.float32(scale) if scale else values.astype(np.float32)


def _with_second_output(path: Path) -> bytes:
    """The file with a longer list of outputs, which is appended; where the list stood before is not used any more."""
    content = bytearray(path.read_bytes())
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise TmgcError(f"--embeddings needs LiteRT: {pip_install('ai-edge-litert')}") from error
    model = schema.Model.GetRootAs(bytes(content), 0)
    graph = model.Subgraphs(0)
    dense = [
        operator
        for operator in map(graph.Operators, range(graph.OperatorsLength()))
        if model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode() == schema.BuiltinOperator.FULLY_CONNECTED
    ]
    if not dense:
        raise TmgcError(f"--embeddings needs a model that ends in a dense layer: {path} does not. Leave it out")
    content += bytes(-len(content) % 4)
    field = graph._tab.Pos + graph._tab.Offset(_OUTPUTS_FIELD)
    content[field : field + 4] = struct.pack("<I", len(content) - field)
    content += struct.pack("<Iii", 2, graph.Outputs(0), dense[-1].Inputs(0))
    return bytes(content)
