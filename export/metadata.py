"""Model cards into model files: one file on the edge is enough."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.interpreters.litert import CARD_ENTRY
from edge_runtime.model_card import METADATA_KEY, ModelCard
from train.libraries import library

LABELS_ENTRY = "labels.txt"
"""Name of the zip entry that other TFLite tools look for: one genre a line, in the order of the outputs."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every zip entry, so that the same export gives the same bytes."""

_BUFFER_ALIGNMENT = 16
"""Bytes: what the TFLite schema asks of buffers (``force_align: 16``), and flatbuffers' Python writer does not keep."""


def write_with_card(graph: Path, card: ModelCard, destination: Path) -> None:
    """Copy a model file with a card inside; the graph and its weights stay as they are.

    Parameters
    ----------
    graph : Path
        A ``.tflite`` or ``.onnx`` file.
    card : ModelCard
    destination : Path
        Is written over.
    """
    if graph.suffix == ".tflite":
        _write_tflite(graph, card, destination)
    else:
        _write_onnx(graph, card, destination)


def _write_onnx(graph: Path, card: ModelCard, destination: Path) -> None:
    onnx = library("onnx", extra="export")
    model = onnx.ModelProto()
    model.ParseFromString(graph.read_bytes())
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=card.to_json())
    destination.write_bytes(model.SerializeToString(deterministic=True))


def _write_tflite(graph: Path, card: ModelCard, destination: Path) -> None:
    schema = library("ai_edge_litert.schema_py_generated", extra="export")
    content = graph.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content)
    _take_in(model, content)
    _set_buffer(model, schema, METADATA_KEY, card.to_json().encode())
    destination.write_bytes(_packed(model))
    with zipfile.ZipFile(destination, "a") as archive:
        for name, text in ((LABELS_ENTRY, "\n".join(card.genres) + "\n"), (CARD_ENTRY, card.to_json())):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode())


def _take_in(model: Any, content: bytes) -> None:
    """Put the buffers that litert-quantizer leaves behind the flatbuffer of a large file back inside it."""
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, count=buffer.size, offset=buffer.offset)
            buffer.offset = buffer.size = 0


def _set_buffer(model: Any, schema: Any, name: str, content: bytes) -> None:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry = schema.MetadataT()
    entry.name = name.encode()
    entry.buffer = len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


def _packed(model: Any) -> bytearray:
    class AlignedBuilder(library("flatbuffers", extra="export").Builder):  # type: ignore[misc]  # a class that is found at run time
        def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802
            return super().StartVector(size, count, _BUFFER_ALIGNMENT if size == 1 else alignment)

    builder = AlignedBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    packed: bytearray = builder.Output()
    return packed
