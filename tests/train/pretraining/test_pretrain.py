"""A pretraining learns the teacher's outputs, gives initial weights, and survives being killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from edge_runtime import SpectrogramSettings, TmgcError
from edge_runtime.files import sha256_of
from tests.factories import RATE, SIDE, TINY_TRAINING, random_pretraining, tiny_dataset, write_songs
from train.pretraining.pretrain import PretrainingConfig, pretrain, read_pretraining
from train.run import Run
from train.teachers import Teacher
from train.training import Augmentation, fit
from train.training.model import BACKBONE, build_network

CONFIG = PretrainingConfig(
    architecture="tiny",
    weights="none",
    spectrogram=SpectrogramSettings(sample_rate=RATE, image_height=SIDE, image_width=SIDE),
    epochs=30,
    batch_size=8,
    learning_rate=2e-2,
)


def test_the_network_learns_what_the_teacher_answers(music: Path, tmp_path: Path, teacher: Teacher) -> None:
    run = Run(tmp_path / "pretrained")
    document = pretrain([music], run, teacher, CONFIG)
    assert document["explained_variance"] > 0.5
    assert document == read_pretraining(run)
    assert document["windows"] == {"train": 84, "validation": 6}
    with run.history_csv.open(encoding="utf-8") as file:
        assert {row["phase"] for row in csv.DictReader(file)} == {"pretraining"}
    network = keras.models.load_model(run.model, compile=False)
    assert network.output_shape == (None, len(teacher.target_names))
    assert np.load(run.validation_outputs).shape == (6, len(teacher.target_names))
    assert not (run.folder / ".training").exists()


@pytest.mark.full
def test_its_backbone_is_where_a_training_begins_and_licences_are_handed_on(
    music: Path, tmp_path: Path, teacher: Teacher
) -> None:
    run, first = Run(tmp_path / "pretrained"), random_pretraining(tmp_path / "first", CONFIG.spectrogram)
    document = pretrain([music], run, teacher, replace(CONFIG, weights=str(first.model), epochs=1))
    assert document["licence"] == "Name the authors."
    dataset = tiny_dataset(write_songs(tmp_path / "songs", songs=4), tmp_path / "run")
    config = replace(TINY_TRAINING, weights=str(run.model), epochs=1, head_epochs=1, learning_rate=1e-9)
    card = fit(dataset, replace(config, batch_normalization="frozen"))
    assert card.network["licence"] == "Name the authors."
    begun, pretrained = (
        keras.models.load_model(path, compile=False).get_layer(BACKBONE).get_weights()
        for path in (dataset.run.model, run.model)
    )
    for ours, theirs in zip(begun, pretrained, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.full
def test_a_training_with_the_same_teacher_begins_with_all_that_was_learned_of_it(
    music: Path, tmp_path: Path, teacher: Teacher, teacher_run: Run
) -> None:
    run = Run(tmp_path / "pretrained")
    pretrain([music], run, teacher, CONFIG)
    songs = write_songs(tmp_path / "songs", songs=4)
    for folder in songs.iterdir():
        folder.rename(folder.with_name(f"other {folder.name}"))
    dataset = tiny_dataset(songs, tmp_path / "run")
    config = replace(TINY_TRAINING, weights=str(run.model), teachers=(str(teacher_run.folder),), teacher_weight=100.0)
    config = replace(config, head_epochs=0, epochs=1, learning_rate=1e-9, augmentation=Augmentation.only(()))

    def first_loss() -> float:
        fit(dataset, config)
        with dataset.run.history_csv.open(encoding="utf-8") as file:
            return float(next(csv.DictReader(file))["loss"])

    inherited = first_loss()
    run.pretraining_json.unlink()
    assert inherited < 0.5 * first_loss(), "a layer of random weights is far from the teacher"


def test_songs_that_are_tested_later_are_left_out(music: Path, tmp_path: Path, teacher: Teacher) -> None:
    run, files = Run(tmp_path / "pretrained"), sorted(path for path in music.rglob("*") if path.suffix == ".flac")
    again = tmp_path / "again" / "another name.flac"
    again.parent.mkdir()
    again.write_bytes(files[0].read_bytes())
    document = pretrain([music, again.parent], run, teacher, replace(CONFIG, epochs=1), tested={sha256_of(files[0])})
    assert sum(document["pieces"][name] for name in ("train", "validation")) == len(files) - 1
    assert run.skipped_csv.read_text("utf-8").count("a test song") == 2
    with pytest.raises(TmgcError, match="all 1 files are test songs"):
        pretrain([again], Run(tmp_path / "other"), teacher, CONFIG, tested={sha256_of(again)})


def in_a_process(music: Path, run: Run, teacher_run: Run) -> subprocess.Popen[str]:
    code = "import tests.factories; from train.cli import main; main()"
    options = ["--teacher", teacher_run.folder, "--architecture", "tiny", "--weights", "none", "--sample-rate", RATE]
    options += ["--image-size", SIDE, "--epochs", 12, "--batch-size", 8, "--learning-rate", 2e-2]
    command = [sys.executable, "-c", code, "pretrain", music, run.folder, *options]
    return subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def test_a_network_of_one_channel_is_pretrained_for_trainings_of_one_channel(
    music: Path, tmp_path: Path, teacher: Teacher
) -> None:
    run = Run(tmp_path / "pretrained")
    pretrain([music], run, teacher, replace(CONFIG, colormap="gray", epochs=1))
    assert keras.models.load_model(run.model, compile=False).input_shape == (None, SIDE, SIDE, 1)
    network = build_network("tiny", CONFIG.spectrogram, n_genres=4, channels=1, weights=str(run.model))
    assert network.input_shape == (None, SIDE, SIDE, 1)


@pytest.mark.full
def test_killed_while_it_cuts_windows_and_while_it_trains_it_goes_on(
    music: Path, tmp_path: Path, teacher_run: Run
) -> None:
    run = Run(tmp_path / "pretrained")
    for reached in ("windows/*.targets.npy", ".training/epoch-*"):
        with in_a_process(music, run, teacher_run) as killed:
            while not list(run.folder.glob(reached)):
                assert killed.poll() is None, killed.communicate()[1]
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
        assert not run.pretraining_json.exists()
    with in_a_process(music, run, teacher_run) as process:
        errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert "continues after epoch" in errors
    with run.history_csv.open(encoding="utf-8") as file:
        epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
    assert epochs == [*range(1, read_pretraining(run)["epochs"] + 1)]


def test_other_settings_do_not_continue_an_interrupted_one(music: Path, tmp_path: Path, teacher: Teacher) -> None:
    from train.progress import Reporter

    class Interruption(Reporter):
        def epoch(self, number: int, values: object) -> None:
            if number == 2:
                raise KeyboardInterrupt

    run = Run(tmp_path / "pretrained")
    with pytest.raises(KeyboardInterrupt):
        pretrain([music], run, teacher, CONFIG, reporter=Interruption())
    with pytest.raises(TmgcError, match=r"continues with its own settings: .* --no-resume"):
        pretrain([music], run, teacher, replace(CONFIG, learning_rate=1e-3))
    document = pretrain([music], run, teacher, replace(CONFIG, learning_rate=1e-3, epochs=1), discard=True)
    assert document["epochs"] == 1


def test_a_folder_of_something_else_is_kept(music: Path, tmp_path: Path, teacher: Teacher) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "picture.jpg").touch()
    with pytest.raises(TmgcError, match=r"holds picture\.jpg"):
        pretrain([music], Run(folder), teacher, CONFIG)
    dataset = tiny_dataset(write_songs(tmp_path / "songs", songs=4), tmp_path / "run")
    with pytest.raises(TmgcError, match="is another run"):
        pretrain([music], dataset.run, teacher, CONFIG)


def test_networks_that_take_waveforms_are_not_pretrained() -> None:
    with pytest.raises(TmgcError, match="for networks that take images"):
        replace(CONFIG, architecture="tiny_waveform")


def test_what_is_no_pretraining_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="is no pretraining"):
        read_pretraining(Run(tmp_path))
    Run(tmp_path).pretraining_json.write_text(json.dumps({"schema": 99}), "utf-8")
    with pytest.raises(TmgcError, match="cannot be read"):
        read_pretraining(Run(tmp_path))
