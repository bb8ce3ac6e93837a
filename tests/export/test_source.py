from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_runtime.interpreters import open_interpreter
from export.cli import main
from export.report import read_parity_json
from tests.export.conftest import GENRES, SETTINGS
from train.libraries import silence
from train.run import Run


@pytest.fixture
def bare(tiny_run: Run, tmp_path: Path) -> Path:
    """A model that stands alone."""
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS.to_json()), "utf-8")
    return Path(shutil.copy(tiny_run.model, tmp_path / "old.keras"))


def _export(model: Path, dataset: Path | None, genres: str = ",".join(GENRES), *more: str) -> Result:
    given = ["--genres", genres, "--settings", str(model.parent / "settings.json"), "--quantize", "none"]
    clips = [] if dataset is None else ["--dataset", str(dataset)]
    return CliRunner().invoke(main, [str(model), *given, *clips, "--calibration", "8", *more])


def test_a_bare_model_is_exported_and_proved_on_the_clips_of_a_run(bare: Path, tiny_run: Run) -> None:
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


def test_genres_in_another_order_than_the_outputs_are_seen_in_the_accuracy(bare: Path, tiny_run: Run) -> None:
    done = _export(bare, tiny_run.folder, ",".join(GENRES[::-1]))
    assert done.exit_code == 0, done.output
    (report,) = read_parity_json(bare.parent / "exports" / "parity.json")
    assert report["parity"]["accuracy"]["accuracy_keras"] < 0.1


def test_a_card_will_do_for_settings(bare: Path, tiny_run: Run) -> None:
    shutil.copy(tiny_run.card_json, bare.parent / "settings.json")
    assert _export(bare, tiny_run.folder).exit_code == 0


@pytest.mark.parametrize("missing", ["--genres", "--settings", "--dataset"])
def test_nothing_leaves_without_a_comparison(missing: str, bare: Path, tiny_run: Run) -> None:
    given = {
        "--genres": ",".join(GENRES),
        "--settings": str(bare.parent / "settings.json"),
        "--dataset": str(tiny_run.folder),
    }
    given.pop(missing)
    arguments = [item for pair in given.items() for item in pair]
    _is_refused(CliRunner().invoke(main, [str(bare), *arguments]), f"to be compared on: {missing} missing")


@pytest.mark.parametrize(
    ("genres", "said"),
    [
        ("Halk,Klasik,Rap", "--genres must be those of --dataset"),
        ("Halk,Klasik,Rap,Jazz", "--genres must be those of --dataset"),
        ("Halk,Klasik,Rap,Rock,Rock", "at least two different genres"),
    ],
)
def test_genres_that_do_not_fit_are_refused(genres: str, said: str, bare: Path, tiny_run: Run) -> None:
    _is_refused(_export(bare, tiny_run.folder, genres), said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "missing or unknown"),
        (json.dumps(SETTINGS.to_json() | {"image_width": 64}), "a network must fit its spectrogram settings"),
    ],
)
def test_settings_that_do_not_fit_are_refused(text: str, said: str, bare: Path, tiny_run: Run) -> None:
    (bare.parent / "settings.json").write_text(text, "utf-8")
    _is_refused(_export(bare, tiny_run.folder), said)


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
def test_what_is_for_bare_models_is_refused_for_a_run(option: str, value: str, tiny_run: Run) -> None:
    _is_refused(CliRunner().invoke(main, [str(tiny_run.folder), option, value]), f"{option} is for a bare model")


def test_an_architecture_is_for_weights(bare: Path, tiny_run: Run) -> None:
    done = _export(bare, tiny_run.folder, ",".join(GENRES), "--architecture", "mobilenet_v3_small")
    _is_refused(done, "--architecture is for weights")


def _is_refused(done: Result, said: Any) -> None:
    assert done.exit_code == 2, done.output
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert done.stderr.splitlines()[-1] == errors[0]
    assert said in errors[0]
