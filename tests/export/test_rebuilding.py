from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import open_interpreter
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import SpectrogramSettings
from export.cli import main
from export.sources import rebuilt
from tests.export.conftest import GENRES, SETTINGS
from train.libraries import silence
from train.run import Run
from train.training.model import BACKBONE, HEAD, build_network

SMALL = "mobilenet_v3_small"


def _network(architecture: str, size: int) -> Any:
    """A network with weights that are all different, so that none can stand in another's place."""
    with silence():
        network = build_network(
            architecture, image_height=size, image_width=size, n_genres=4, weights="none", rescale_to_unit=True
        )
    rng = np.random.default_rng(0)
    weights = network.get_weights()
    network.set_weights([weight + rng.uniform(0, 0.05, weight.shape).astype(np.float32) for weight in weights])
    return network


def _topology(network: Any, *, in_a_row: bool) -> Any:
    """The seed's network as its notebook built it: without the scaling, from a backbone and dense layers."""
    import keras

    backbone, head = network.get_layer(BACKBONE), network.get_layer(HEAD).layers
    if not in_a_row:
        return keras.Sequential([keras.Input(network.input_shape[1:]), backbone, *head])
    given = backbone.output
    for layer in head:
        given = layer(given)
    return keras.Model(backbone.input, given)


def _write_h5(path: Path, model: Any, *, whole: bool = False) -> None:
    """The layout of Keras 2: ``save_weights``, or ``save`` where ``whole``, whose configuration names code."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole else file
        if whole:
            file.attrs["model_config"] = json.dumps({"config": {"layers": [{"class_name": "Lambda"}]}})
        group.attrs.update({"keras_version": b"2.11.0", "backend": b"tensorflow"})
        group.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            weights = layer.trainable_weights + layer.non_trainable_weights
            names = [f"{layer.name}/weight_{number}:0" for number in range(len(weights))]
            group.create_group(layer.name).attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, weights, strict=True):
                group[layer.name][name] = np.asarray(weight)


def _card(card: ModelCard, size: int) -> ModelCard:
    settings = replace(card.spectrogram, image_height=size, image_width=size)
    return card.replace(genres=("a", "b", "c", "d"), spectrogram=settings)


def _check_that_the_weights_come_back(
    architecture: str, size: int, path: Path, card: ModelCard, **layout: bool
) -> None:
    network = _network(architecture, size)
    _write_h5(path, _topology(network, in_a_row=layout["in_a_row"]), whole=layout["whole"])
    pictures = np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8)
    with silence():
        again = rebuilt(path, architecture, _card(card, size))
        np.testing.assert_array_equal(again.predict(pictures, verbose=0), network.predict(pictures, verbose=0))


@pytest.mark.parametrize("in_a_row", [True, False], ids=["in a row", "backbone as one layer"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole model", "weights alone"])
def test_old_weights_find_their_places(in_a_row: bool, whole: bool, card: ModelCard, tmp_path: Path) -> None:
    _check_that_the_weights_come_back(SMALL, 32, tmp_path / "old.h5", card, in_a_row=in_a_row, whole=whole)


@pytest.mark.full
def test_those_of_the_original_network_do_as_well(card: ModelCard, tmp_path: Path) -> None:
    _check_that_the_weights_come_back("inception_resnet_v2", 75, tmp_path / "old.h5", card, in_a_row=True, whole=True)


def test_weights_of_another_network_are_refused_in_one_line(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    _write_h5(path, _topology(_network(SMALL, 32), in_a_row=True))
    with silence(), pytest.raises(TmgcError, match=r"must hold the weights of mobilenet_v2 .* 4 genres") as caught:
        rebuilt(path, "mobilenet_v2", _card(card, 32))
    assert "\n" not in str(caught.value)


def test_what_is_no_weights_file_is_refused(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    path.write_text("no weights")
    with silence(), pytest.raises(TmgcError, match="must hold the weights"):
        rebuilt(path, SMALL, _card(card, 32))


def test_old_weights_become_a_file_that_was_compared(tiny_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "seed.h5"
    _write_h5(path, _topology(_network(SMALL, SETTINGS.image_height), in_a_row=True))
    arguments = [str(path), "--genres", ",".join(GENRES), "--settings", str(tiny_run.dataset_json)]
    arguments += ["--dataset", str(tiny_run.folder), "--architecture", SMALL, "--quantize", "none"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    card = open_interpreter(tmp_path / "exports" / "seed.float32.tflite").card
    assert card.network["architecture"] == SMALL
    assert card.export["parity"]["windows"] >= 500
    assert isinstance(card.spectrogram, SpectrogramSettings)
