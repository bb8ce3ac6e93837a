"""Model files whose answer is known: each genre's probability follows the brightness of one colour of the picture."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import ModelCard
from tests.edge_runtime.fake_portaudio import FakePortAudio
from tests.edge_runtime.virtual_microphone import VirtualMicrophone, missing

SHARPNESS = 8.0
"""How decisive the models are: logits per full brightness."""


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> dict[str, Path]:
    """The same network as a ``.tflite`` and an ``.onnx`` file, both still without a card."""
    folder = tmp_path_factory.mktemp("graphs")
    height, width = card.spectrogram.image_height, card.spectrogram.image_width
    return {
        "tflite": _tflite(folder / "graph.tflite", height, width),
        "onnx": _onnx(folder / "graph.onnx", height, width),
    }


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, card: ModelCard, graphs: dict[str, Path]) -> dict[str, Path]:
    """The same, each with its card inside."""
    from export.metadata import write_with_card

    folder = tmp_path_factory.mktemp("models")
    made = {}
    for form, graph in graphs.items():
        made[form] = folder / f"tiny.float32.{form}"
        write_with_card(graph, replace(card, export={"format": form, "recipe": "float32"}), made[form])
    return made


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


def _tflite(path: Path, height: int, width: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        @tf.function(input_signature=[tf.TensorSpec((1, height, width, 3), tf.uint8, name="image")])
        def brightest(picture):  # type: ignore[no-untyped-def]
            return tf.nn.softmax(tf.reduce_mean(tf.cast(picture, tf.float32), axis=(1, 2)) * (SHARPNESS / 255))

        converter = tf.lite.TFLiteConverter.from_concrete_functions([brightest.get_concrete_function()])
        path.write_bytes(converter.convert())
    return path


def _onnx(path: Path, height: int, width: int) -> Path:
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
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", height, width, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [scale, axes],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
