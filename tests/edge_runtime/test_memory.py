"""Small boards: listening stays within their memory, with pictures of the usual size.

The networks are untrained: what their answers are does not change what they need.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import ModelCard, SpectrogramSettings
from tests.conftest import tone
from tests.factories import square

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits and tells memory this way"),
]

LISTEN = """
import json, resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from edge_runtime.cli.listen import main
try:
    main(sys.argv[2:])
except SystemExit as end:
    code = end.code
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"code": code, "resident_bytes": int(status["VmHWM"].split()[0]) * 1024}))
"""

ONE_GIGABYTE_BOARD = 400_000_000
"""Bytes of address space that InceptionResNetV2 may take."""

ZERO_2_W = 150_000_000
"""Bytes of memory that a small network may take."""


def untrained(architecture: str, recipe_name: str, card: ModelCard, folder: Path) -> Path:
    """An export of an untrained network with pictures of 224 x 224."""
    from export.exporter import ConversionCache
    from export.frontend import KerasModel
    from export.metadata import write_with_card
    from export.recipes import FORMATS, Target
    from train.libraries import silence
    from train.training.model import build_network

    with silence():
        network = build_network(architecture, square(224), n_genres=3, weights="none")
        network.save(folder / "model.keras")
        KerasModel(folder / "model.keras").save(folder / "saved", card)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), np.uint8)
    form = FORMATS["tflite"]
    recipe = next(recipe for recipe in form.recipes if recipe.name == recipe_name)
    graph = ConversionCache(folder, folder / "saved", pictures).graph(Target(form, recipe))
    carded = replace(card, spectrogram=SpectrogramSettings(), export={"format": "tflite", "recipe": recipe_name})
    write_with_card(graph, carded, folder / "carded.tflite")
    return folder / "carded.tflite"


def listened(model: Path, folder: Path, *, address_space: int = 0) -> dict[str, int]:
    """Exit code and memory of listening to a song for some windows, in a process of its own."""
    soundfile.write(folder / "song.wav", tone(8, sample_rate=44_100), 44_100)
    command = [sys.executable, "-c", LISTEN, str(address_space), str(folder / "song.wav"), "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_inception_resnet_v2_in_int8_fits_a_board_of_one_gigabyte(card: ModelCard, tmp_path: Path) -> None:
    model = untrained("inception_resnet_v2", "int8", card, tmp_path)
    assert listened(model, tmp_path, address_space=ONE_GIGABYTE_BOARD)["code"] == 0
    assert listened(model, tmp_path, address_space=ONE_GIGABYTE_BOARD // 2)["code"] == 2


def test_a_small_network_fits_a_zero_2_w(card: ModelCard, tmp_path: Path) -> None:
    told = listened(untrained("mobilenet_v3_small", "float32", card, tmp_path), tmp_path)
    assert told["code"] == 0
    assert told["resident_bytes"] < ZERO_2_W
