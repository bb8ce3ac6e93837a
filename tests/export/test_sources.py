from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import open_interpreter
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import SpectrogramSettings
from export.cli import main
from export.report import read_parity_json
from export.sources import open_adopted, open_run, rebuild_network
from tests.export.conftest import GENRES, SETTINGS
from tests.factories import SIDE, random_pretraining, square
from train.libraries import silence
from train.run import Run
from train.teachers.adoption import adopt
from train.teachers.genre_mapping import GenreMapping
from train.teachers.tagger import pretrained_tagger
from train.training.model import BACKBONE, HEAD, build_network


@pytest.fixture
def bare(tiny_run: Run, tmp_path: Path) -> Path:
    """A model outside a run."""
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS.to_json()), "utf-8")
    return Path(shutil.copy(tiny_run.model, tmp_path / "old.keras"))


def _export(model: Path, dataset: Path | None, genres: str = ",".join(GENRES), *more: str) -> Result:
    options = ["--genres", genres, "--settings", str(model.parent / "settings.json"), "--quantize", "none"]
    clips = [] if dataset is None else ["--dataset", str(dataset)]
    return CliRunner().invoke(main, [str(model), *options, *clips, "--calibration", "8", *more])


def test_a_bare_model_is_exported_and_compared_on_the_clips_of_a_run(bare: Path, tiny_run: Run) -> None:
    folder = bare.parent / "files"
    done = _export(bare, tiny_run.folder, ",".join(GENRES), "--output", str(folder))
    file = folder / "old.float32.tflite"
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{file}\n"
    card = open_interpreter(file).card
    assert (card.name, card.genres, card.spectrogram) == ("old", GENRES, SETTINGS)
    (report,) = read_parity_json(folder / "parity.json")
    assert report["parity"]["windows"] >= 500
    assert report["parity"]["accuracy"]["accuracy_keras"] > 0.9


def test_genres_in_another_order_than_the_outputs_show_in_the_accuracy(bare: Path, tiny_run: Run) -> None:
    done = _export(bare, tiny_run.folder, ",".join(GENRES[::-1]))
    assert done.exit_code == 0, done.output
    (report,) = read_parity_json(bare.parent / "exports" / "parity.json")
    assert report["parity"]["accuracy"]["accuracy_keras"] < 0.1


def test_settings_may_be_a_card(bare: Path, tiny_run: Run) -> None:
    shutil.copy(tiny_run.card_json, bare.parent / "settings.json")
    assert _export(bare, tiny_run.folder).exit_code == 0


@pytest.mark.parametrize("missing", ["--genres", "--settings", "--dataset"])
def test_a_bare_model_needs_what_its_comparison_needs(missing: str, bare: Path, tiny_run: Run) -> None:
    options = {
        "--genres": ",".join(GENRES),
        "--settings": str(bare.parent / "settings.json"),
        "--dataset": str(tiny_run.folder),
    }
    options.pop(missing)
    arguments = [item for pair in options.items() for item in pair]
    _is_refused(CliRunner().invoke(main, [str(bare), *arguments]), f"to be compared on: {missing} missing")


@pytest.mark.parametrize(
    ("genres", "message"),
    [
        ("Halk,Klasik,Rap", "--genres must be those of --dataset"),
        ("Halk,Klasik,Rap,Jazz", "--genres must be those of --dataset"),
        ("Halk,Klasik,Rap,Rock,Rock", "at least two different genres"),
    ],
)
def test_genres_that_do_not_fit_are_refused(genres: str, message: str, bare: Path, tiny_run: Run) -> None:
    _is_refused(_export(bare, tiny_run.folder, genres), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "missing or unknown"),
        (json.dumps(SETTINGS.to_json() | {"image_width": 64}), "a network must fit its spectrogram settings"),
    ],
)
def test_settings_that_do_not_fit_are_refused(text: str, message: str, bare: Path, tiny_run: Run) -> None:
    (bare.parent / "settings.json").write_text(text, "utf-8")
    _is_refused(_export(bare, tiny_run.folder), message)


def test_a_missing_model_is_refused(bare: Path, tiny_run: Run) -> None:
    bare.unlink()
    _is_refused(_export(bare, tiny_run.folder), "there is no file")


def test_a_model_with_code_in_it_is_refused(bare: Path, tiny_run: Run) -> None:
    with silence():
        import keras

        pixels = keras.Input((32, 32, 3), dtype="uint8")
        hidden = keras.layers.Lambda(lambda each: each * 2)(keras.layers.Flatten()(pixels))
        keras.Model(pixels, keras.layers.Dense(4, activation="softmax")(hidden)).save(bare)
    _is_refused(_export(bare, tiny_run.folder), "Lambda")


@pytest.mark.parametrize(
    ("option", "value"), [("--genres", "a,b"), ("--settings", "x"), ("--dataset", "x"), ("--architecture", "x")]
)
def test_options_of_bare_models_are_refused_for_a_run(option: str, value: str, tiny_run: Run) -> None:
    _is_refused(CliRunner().invoke(main, [str(tiny_run.folder), option, value]), f"{option} is for a bare model")


def test_an_architecture_is_for_weights(bare: Path, tiny_run: Run) -> None:
    done = _export(bare, tiny_run.folder, ",".join(GENRES), "--architecture", "mobilenet_v3_small")
    _is_refused(done, "--architecture is for weights")


def test_a_run_is_locked_before_anything_of_it_is_read(tiny_run: Run, copy_of: Callable[[Run], Run]) -> None:
    run = copy_of(tiny_run)
    run.card_json.unlink()
    run.card_json.write_text("{", "utf-8")  # as another command may leave it for a moment
    with run.lock():
        _is_refused(CliRunner().invoke(main, [str(run.folder)]), "another is at work")


def test_a_run_without_an_evaluation_is_exported_with_a_warning(
    tiny_run: Run, copy_of: Callable[[Run], Run], caplog: pytest.LogCaptureFixture
) -> None:
    run = copy_of(tiny_run)
    card = run.card()
    for temperature, threshold, warnings in ((1.0, 0.0, 1), (1.2, 0.0, 0), (1.0, 0.3, 0)):
        run.card_json.unlink()
        run.card_json.write_text(card.replace(temperature=temperature, threshold=threshold).to_json(), "utf-8")
        caplog.clear()
        with open_run(run):
            assert sum("is not evaluated" in message for message in caplog.messages) == warnings


def test_a_run_stays_locked_until_it_has_been_exported(tiny_run: Run) -> None:
    with open_run(tiny_run), pytest.raises(TmgcError, match="another is at work"), tiny_run.lock():
        pass
    with tiny_run.lock():
        pass


def test_the_dataset_of_a_bare_model_is_locked_as_well(bare: Path, tiny_run: Run) -> None:
    with tiny_run.lock():
        _is_refused(_export(bare, tiny_run.folder), "another is at work")


def test_a_run_prepared_again_since_its_training_is_refused(tiny_run: Run, copy_of: Callable[[Run], Run]) -> None:
    run = copy_of(tiny_run)
    card = run.card()
    run.card_json.unlink()
    run.card_json.write_text(card.replace(training={"dataset_sha256": "of another split"}).to_json(), "utf-8")
    with pytest.raises(TmgcError, match="prepared anew since"), open_run(run):
        pass


def _is_refused(done: Result, message: Any) -> None:
    assert done.exit_code == 2, done.output
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert done.stderr.splitlines()[-1] == errors[0]
    assert message in errors[0]


def _network(architecture: str, size: int) -> Any:
    """A network whose weights all differ, so that a mix-up of layers changes the output."""
    with silence():
        network = build_network(
            architecture,
            square(size),
            n_genres=4,
            weights="none",
            rescale_to_unit=True,
        )
    rng = np.random.default_rng(0)
    weights = network.get_weights()
    network.set_weights([weight + rng.uniform(0, 0.05, weight.shape).astype(np.float32) for weight in weights])
    return network


@pytest.fixture(scope="module")
def tiny_network() -> Any:
    """Of the architecture ``tiny``, which :mod:`tests.factories` registers. Do not change it."""
    return _network("tiny", SIDE)


def _topology(network: Any, *, flat: bool) -> Any:
    """The original network as its notebook built it: without the scaling, from a backbone and dense layers."""
    import keras

    backbone, head = network.get_layer(BACKBONE), network.get_layer(HEAD).layers
    if not flat:
        return keras.Sequential([keras.Input(network.input_shape[1:]), backbone, *head])
    output = backbone.output
    for layer in head:
        output = layer(output)
    return keras.Model(backbone.input, output)


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
    network: Any, architecture: str, path: Path, card: ModelCard, *, flat: bool, whole: bool
) -> None:
    size = network.input_shape[1]
    _write_h5(path, _topology(network, flat=flat), whole=whole)
    images = np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8)
    with silence():
        rebuilt = rebuild_network(path, architecture, _card(card, size))
        np.testing.assert_array_equal(rebuilt(images, training=False), network(images, training=False))


@pytest.mark.parametrize(
    ("flat", "whole"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=["flat, whole model", "flat, weights alone", "nested, whole model", "nested, weights alone"],
)
def test_old_weights_are_assigned_to_their_layers(
    flat: bool, whole: bool, tiny_network: Any, card: ModelCard, tmp_path: Path
) -> None:
    _check_that_the_weights_come_back(tiny_network, "tiny", tmp_path / "old.h5", card, flat=flat, whole=whole)


@pytest.mark.full
@pytest.mark.parametrize(("architecture", "size"), [("inception_resnet_v2", 75), ("mobilenet_v3_small", 32)])
def test_old_weights_of_whole_networks_are_assigned_to_their_layers(
    architecture: str, size: int, card: ModelCard, tmp_path: Path
) -> None:
    network = _network(architecture, size)
    for flat in (True, False):
        _check_that_the_weights_come_back(network, architecture, tmp_path / "old.h5", card, flat=flat, whole=True)


def test_weights_of_another_network_are_refused_in_one_line(tiny_network: Any, card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    _write_h5(path, _topology(tiny_network, flat=True))
    with silence(), pytest.raises(TmgcError, match=r"must hold the weights of mobilenet_v2 .* 4 genres") as caught:
        rebuild_network(path, "mobilenet_v2", _card(card, SIDE))
    assert "\n" not in str(caught.value)


def test_a_file_without_weights_is_refused(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    path.write_text("no weights")
    with silence(), pytest.raises(TmgcError, match="must hold the weights"):
        rebuild_network(path, "tiny", _card(card, SIDE))


def test_old_weights_are_exported_and_compared(tiny_network: Any, tiny_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "seed.h5"
    _write_h5(path, _topology(tiny_network, flat=True))
    arguments = [str(path), "--genres", ",".join(GENRES), "--settings", str(tiny_run.dataset_json)]
    arguments += ["--dataset", str(tiny_run.folder), "--architecture", "tiny", "--quantize", "none"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    card = open_interpreter(tmp_path / "exports" / "seed.float32.tflite").card
    assert card.network["architecture"] == "tiny"
    assert card.export["parity"]["windows"] >= 500
    assert card.spectrogram == SETTINGS


MAPPING = GenreMapping({"Caz": ("jazz",), "Halk": ("folk",), "Rock": ("rock", "hard rock")})


def _adopted(folder: Path, mapping: GenreMapping = MAPPING, settings: SpectrogramSettings = SETTINGS) -> Run:
    run = Run(folder / "world")
    with silence():
        adopt(run, pretrained_tagger(random_pretraining(folder / "pretrained", settings)), mapping)
    return run


def test_an_adopted_run_is_compared_on_songs_of_other_genres_without_an_accuracy(tiny_run: Run, tmp_path: Path) -> None:
    run = _adopted(tmp_path)
    arguments = [str(run.folder), "--dataset", str(tiny_run.folder), "--quantize", "none,float16", "--calibration", "8"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "no labels, so no accuracy" in done.stderr
    assert "split of tiny" in done.stderr
    card = open_interpreter(run.exports / "world.float16.tflite").card
    assert (card.genres, card.export["compared_on"]) == (("Caz", "Halk", "Rock"), "tiny")
    assert card.export["parity"]["accuracy"] is None
    assert card.export["parity"]["windows"] >= 500
    assert not card.accuracy
    for report in read_parity_json(run.parity_json):
        assert report["parity"]["accuracy"] is None
        assert set(report["parity"]["stress_inputs"]) == {"silence", "full-scale noise", "sine", "clipped music"}


def test_songs_of_the_adopted_genres_are_labels(tiny_run: Run, tmp_path: Path) -> None:
    songs = Run(Path(shutil.copytree(tiny_run.folder, tmp_path / "songs")))
    document = json.loads(songs.dataset_json.read_text("utf-8"))
    songs.dataset_json.write_text(json.dumps({**document, "demonstration": False}), "utf-8")
    tags = {"Rock": ("rock",), "Rap": ("jazz",), "Klasik": ("sad",), "Halk": ("folk",)}
    run = _adopted(tmp_path, GenreMapping(tags))
    with open_adopted(run, songs) as source:
        assert source.labelled
        assert source.dataset.genres == tuple(tags)
    with open_adopted(run, tiny_run) as source:
        assert not source.labelled  # what is synthesised is called Rock and sounds like none


def test_songs_at_another_rate_are_refused_for_an_adopted_run(tiny_run: Run, tmp_path: Path) -> None:
    run = _adopted(tmp_path, settings=replace(SETTINGS, sample_rate=16_000))
    done = CliRunner().invoke(main, [str(run.folder), "--dataset", str(tiny_run.folder)])
    _is_refused(done, "windows of 0.5 s at 16000 Hz")
    _is_refused(CliRunner().invoke(main, [str(run.folder), "--genres", "Caz,Rock"]), "--genres is for a bare model")


def test_a_trained_run_is_compared_on_its_own_songs(tiny_run: Run) -> None:
    done = CliRunner().invoke(main, [str(tiny_run.folder), "--dataset", str(tiny_run.folder)])
    _is_refused(done, "--dataset is for a bare model")


@pytest.mark.full
def test_an_adopted_run_without_songs_is_compared_on_synthesised_music(tmp_path: Path) -> None:
    run = _adopted(tmp_path)
    done = CliRunner().invoke(main, [str(run.folder), "--quantize", "none"])
    assert done.exit_code == 0, done.output
    (report,) = read_parity_json(run.parity_json)
    assert report["compared_on"] == "synthesised music"
    assert report["parity"]["windows"] >= 500
    assert {path.name for path in run.folder.iterdir()} == {"model.keras", "card.json", "exports", "parity.json"}
