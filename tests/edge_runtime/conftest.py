"""Models with known probabilities (each genre's follows the brightness of one colour), microphones and notices."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import ModelCard, SpectrogramSettings
from edge_runtime.logs import LOGGER, format_notice, replace_handler
from tests.edge_runtime.fake_portaudio import FakePortAudio
from tests.edge_runtime.virtual_microphone import VirtualMicrophone, missing

LISTEN = (sys.executable, "-c", "from edge_runtime.cli.listen import main; main()")
"""``tmgc-listen`` as a process of its own, where the process is what is tested; else see ``listen_command``."""

SHARPNESS = 8.0
"""How decisive the models are: logits per full brightness."""


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(format_notice(record))


@pytest.fixture
def notices() -> Iterator[list[str]]:
    """The notices that are logged, as lines; the list grows."""
    lines: list[str] = []
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    with replace_handler(_Collector(lines)):
        yield lines
    LOGGER.setLevel(level)


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> dict[str, Path]:
    """The same network as a ``.tflite`` and an ``.onnx`` file, both still without a card."""
    folder = tmp_path_factory.mktemp("graphs")
    return {form: write_graph(form, folder / f"graph.{form}", card.spectrogram) for form in ("tflite", "onnx")}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, card: ModelCard, graphs: dict[str, Path]) -> dict[str, Path]:
    """The same, each with its card and its golden windows inside."""
    from edge_runtime.golden_windows import NAMES, golden_document, predict_golden
    from edge_runtime.interpreters import open_interpreter
    from export.metadata import write_with_card

    folder = tmp_path_factory.mktemp("models")
    made = {}
    for form, graph in graphs.items():
        made[form] = folder / form / f"tiny.float32.{form}"  # each alone: beside the other, either could be taken
        made[form].parent.mkdir()
        export: dict[str, Any] = {"format": form, "recipe": "float32", "keras_sha256": "0" * 64}
        write_with_card(graph, replace(card, export=export), made[form])
        found = predict_golden(open_interpreter(made[form]), NAMES)
        export["golden"] = golden_document(form, "float32", found, found)
        write_with_card(graph, replace(card, export=export), made[form])
    return made


@pytest.fixture(scope="session")
def brief_model(tmp_path_factory: pytest.TempPathFactory, card: ModelCard, graphs: dict[str, Path]) -> Path:
    """The ``.tflite`` model with windows of half a second, for tests that have to wait for them."""
    from export.metadata import write_with_card

    path = tmp_path_factory.mktemp("brief") / "brief.tflite"
    brief = replace(card, spectrogram=replace(card.spectrogram, window_seconds=0.5))
    write_with_card(graphs["tflite"], brief, path)
    return path


@pytest.fixture
def virtual_microphone(tmp_path: Path) -> Iterator[VirtualMicrophone]:
    """A real capture device of PortAudio, plugged in; a test plays to it, and takes it away."""
    if lacking := missing():
        pytest.skip(f"no virtual microphone without {', '.join(lacking)}: see .ci/run for the packages")
    microphone = VirtualMicrophone(tmp_path / "pulse")
    microphone.plug_in()
    yield microphone
    microphone.take_away()


@pytest.fixture
def fake_portaudio(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakePortAudio]:
    """Puts a PortAudio with the named devices into the place of the real one."""

    def plug_in(*names: str, **options: float) -> FakePortAudio:
        portaudio = FakePortAudio(*names, **options)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "sounddevice", portaudio)
        return portaudio

    return plug_in


def write_graph(form: str, path: Path, settings: SpectrogramSettings, *, batch: int | str = "n") -> Path:
    """Write the network for pictures of these settings, still without a card; a batch of ``n`` is 1 in TFLite."""
    shape = (settings.image_height, settings.image_width, 3)
    return _onnx(path, (batch, *shape)) if form == "onnx" else _tflite(path, (1 if batch == "n" else batch, *shape))


def _tflite(path: Path, shape: tuple[Any, ...]) -> Path:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as tflite

    def tensor(name: str, kind: int, shape: tuple[int, ...], buffer: int = 0) -> Any:
        made = tflite.TensorT()
        made.name, made.type, made.shape, made.buffer = name, kind, list(shape), buffer
        return made

    def operator(code: int, inputs: list[int], output: int, kind: int, options: Any) -> Any:
        made = tflite.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, [output]
        made.builtinOptionsType, made.builtinOptions = kind, options
        return made

    graph, model = tflite.SubGraphT(), tflite.ModelT()
    uint8, float32, int32 = tflite.TensorType.UINT8, tflite.TensorType.FLOAT32, tflite.TensorType.INT32
    graph.tensors = [
        tensor("image", uint8, shape),
        tensor("axes", int32, (2,), buffer=1),
        tensor("pixels", float32, shape),
        tensor("means", float32, (shape[0], 3)),
        tensor("probabilities", float32, (shape[0], 3)),
    ]
    graph.inputs, graph.outputs = [0], [4]
    softmax = tflite.SoftmaxOptionsT()
    softmax.beta = SHARPNESS / 255
    kinds = tflite.BuiltinOptions
    graph.operators = [
        operator(0, [0], 2, kinds.CastOptions, tflite.CastOptionsT()),
        operator(1, [2, 1], 3, kinds.ReducerOptions, tflite.ReducerOptionsT()),
        operator(2, [3], 4, kinds.SoftmaxOptions, softmax),
    ]
    for builtin in (tflite.BuiltinOperator.CAST, tflite.BuiltinOperator.MEAN, tflite.BuiltinOperator.SOFTMAX):
        code = tflite.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        model.operatorCodes = [*(model.operatorCodes or []), code]
    axes = tflite.BufferT()
    axes.data = np.array([1, 2], np.int32).view(np.uint8)
    model.version, model.subgraphs, model.buffers = 3, [graph], [tflite.BufferT(), axes]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def _onnx(path: Path, shape: tuple[Any, ...]) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save

    scale = numpy_helper.from_array(np.array(SHARPNESS / 255, np.float32), "scale")
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "brightest",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [shape[0], 3])],
        [scale, axes],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
