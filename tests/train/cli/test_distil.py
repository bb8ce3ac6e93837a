"""``tmgc-train distil`` as its users call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import keras
import numpy as np
import pytest

from tests import factories
from tests.factories import SIDE, tiny_dataset, write_songs
from tests.train.cli.conftest import one_error, tmgc_train
from tests.train.cli.test_cross_validate import TINY as TINY_FOLDS
from train.cli.distil import _default_width
from train.dataset.dataset import read_dataset
from train.pretraining.pretrain import SCHEMA as PRETRAINING_SCHEMA
from train.run import Run

TINY = ["--student", "tiny", "--weights", "none", "--head-epochs", 3, "--batch-size", 12, "--learning-rate", 1e-2]
SMALL = ["--image-size", f"{SIDE}x40", "--colormap", "gray"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A trained run. Do not write into it."""
    return factories.tiny_trained_run(tmp_path_factory.mktemp("teacher"))


@pytest.mark.full
def test_a_student_is_an_ordinary_run_that_is_compared_with_its_teacher(teacher: Run, run: Path) -> None:
    done = tmgc_train("distil", teacher.folder, run, *TINY, *SMALL, "--epochs", 3)
    assert done.exit_code == 0, done.output
    student, card = read_dataset(Run(run)), Run(run).card()
    assert [(clip.name, clip.split) for clip in student.clips] == [
        (clip.name, clip.split) for clip in read_dataset(teacher).clips
    ]
    assert keras.models.load_model(Run(run).model, compile=False).input_shape == (None, SIDE, 40, 1)
    assert card.network["teachers"][0]["name"] == "tiny"
    found = card.accuracy["teacher"]
    assert found["verdict"] == "as good"
    assert found == json.loads(Run(run).evaluation_json("test").read_text("utf-8"))["teacher"]
    assert f"{found['verdict']}\n" in done.stdout
    assert "Its student is <b>as good</b>" in Run(run).report_html("test").read_text("utf-8")

    again = tmgc_train("distil", teacher.folder, run, *TINY, *SMALL, "--epochs", 3)
    assert again.stdout == done.stdout
    assert "training" not in again.stderr, "nothing is left to do"
    assert tmgc_train("evaluate", run).exit_code == 0
    assert Run(run).card().accuracy["teacher"] == found, "another evaluation keeps it"
    other = one_error(tmgc_train("distil", teacher.folder, run, *TINY, *SMALL, "--epochs", 4))
    assert "begun with others, which distillation.json there lists" in other


def test_what_cannot_teach_is_refused_in_one_line_and_nothing_is_written(
    teacher: Run, run: Path, tmp_path: Path
) -> None:
    def refused(*arguments: object) -> str:
        line = one_error(tmgc_train("distil", *arguments))
        assert not run.exists()
        return line

    untrained = tiny_dataset(write_songs(tmp_path / "songs", songs=3), tmp_path / "untrained").run.folder
    assert "card.json" in refused(untrained, run, *TINY, *SMALL)
    adopted = tmp_path / "adopted"
    adopted.mkdir()
    (adopted / "card.json").write_bytes(teacher.card_json.read_bytes())
    assert "a student learns from the songs of its teacher" in refused(adopted, run, *TINY, *SMALL)
    assert "there is none at" in refused(tmp_path / "nowhere", run, *TINY)
    assert "did you mean tiny" in refused(teacher.folder, run, "--student", "tinny")
    assert "without a teacher" in refused(teacher.folder, run, *TINY, "--recipe", "reference")
    assert "cannot take images of this size" in refused(
        teacher.folder, run, "--student", "mobilenet_v2", "--weights", "none", "--image-size", 31
    )
    assert "--pretraining-epochs" in refused(teacher.folder, run, *TINY, *SMALL, "--pretraining-epochs", 3)
    assert "music is a folder or a file: there is no" in refused(
        teacher.folder, run, *TINY, *SMALL, "--music", tmp_path / "nowhere"
    )
    knowing = Path(copytree(teacher.folder, tmp_path / "knowing"))
    dataset = read_dataset(Run(knowing))
    table = Run(knowing).dataset_csv.read_text("utf-8").replace(",test,", ",train,")
    Run(knowing).dataset_csv.write_text(table, "utf-8")
    assert dataset.of("test")
    assert "knowing was trained on" in refused(teacher.folder, run, *TINY, *SMALL, "--teacher", knowing)
    assert "a new or empty folder is needed" in one_error(tmgc_train("distil", teacher.folder, knowing, *TINY, *SMALL))


def test_a_student_is_as_narrow_as_the_weights_that_it_begins_with(tmp_path: Path) -> None:
    assert _default_width("mobilenet_v2", None) == 0.5
    assert _default_width("efficientnet_lite0", None) == 1.0, "ImageNet's weights are of this width"
    assert _default_width("mobilenet_v3_small", "imagenet") == 1.0
    assert _default_width("mobilenet_v2", str(tmp_path / "file.keras")) == 0.5
    settings = {"schema": PRETRAINING_SCHEMA, "settings": {"width": 0.35}, "target_names": [], "target_mean": []}
    (tmp_path / "pretraining.json").write_text(json.dumps(settings), "utf-8")
    assert _default_width("efficientnet_lite0", str(tmp_path)) == 0.35


@pytest.mark.full
def test_a_student_that_is_killed_in_any_step_continues(teacher: Run, run: Path, tmp_path: Path) -> None:
    music = write_songs(tmp_path / "music", songs=6)
    command = ["distil", teacher.folder, run, *TINY, *SMALL, "--epochs", 15, "--patience", 15, "--music", music]
    command += ["--pretraining-epochs", 15, "--teacher", teacher.folder]
    code = "import tests.factories; from train.cli import main; main()"
    for reached in ("images/*.png", "pretraining/.training/epoch-*", ".training/epoch-*"):
        with subprocess.Popen([sys.executable, "-c", code, *map(str, command)], env=os.environ) as killed:
            while not list(run.glob(reached)):
                assert killed.poll() is None
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
        assert not Run(run).model.exists()
    done = tmgc_train(*command)
    assert done.exit_code == 0, done.output
    assert "resuming fine-tuning" in done.stderr
    assert "pretraining" in Run(run).card().network["initial_weights"]
    assert np.isfinite(Run(run).card().accuracy["teacher"]["clip_difference"])


@pytest.mark.full
def test_each_fold_of_a_cross_validation_teaches_its_own_student(run: Path, tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=9, genres=("Caz", "Halk"), seconds=2.6)
    options = [*TINY_FOLDS, "--folds", 2, "--no-baseline", "--epochs", 15]
    assert tmgc_train("cross-validate", songs, run / "cv", *options).exit_code == 0
    done = tmgc_train("distil", run / "cv", run / "students", *TINY, *SMALL, "--epochs", 15)
    assert done.exit_code == 0, done.output
    document = json.loads((run / "students" / "cross-validation.json").read_text("utf-8"))
    assert document["teacher"]["clips"] == 18
    assert document["teacher"]["name"] == "network of cv"
    assert document["teacher"]["verdict"] in done.stdout
    for fold in (1, 2):
        student = Run(run / "students" / f"fold-{fold}")
        assert student.card().network["teachers"][0]["name"] == f"fold-{fold}"
        songs_of_fold = {clip.song for clip in read_dataset(student).of("test")}
        assert student.card().accuracy["teacher"]["songs"] == len(songs_of_fold) >= 8
