"""``tmgc-train cross-validate`` as its users call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.factories import SIDE, write_songs
from tests.train.cli.conftest import one_error, tmgc_train
from train.dataset.dataset import read_dataset
from train.run import Run

QUICK = ["--folds", 3, "--offsets", 0, "--image-size", SIDE, "--sample-rate", 11_025]
TINY = [*QUICK, "--architecture", "tiny", "--weights", "none", "--augment", "none", "--head-epochs", 2]


def test_baselines_alone_need_no_training(songs: Path, run: Path) -> None:
    done = tmgc_train("cross-validate", songs, run, *QUICK, "--baselines-only", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document == json.loads((run / "cross-validation.json").read_text("utf-8"))
    assert [method["name"] for method in document["methods"]] == ["SVM on MFCC statistics"]
    assert document["methods"][0]["scores"]["clips"] == len(read_dataset(Run(run)).clips)
    assert document["settings"]["songs"] == str(songs.resolve())
    assert not (run / "fold-1" / "model.keras").exists()
    page = (run / "cross-validation.html").read_text("utf-8")
    assert document["verdict"].removeprefix("SVM") in page
    again = tmgc_train("cross-validate", songs, run, *QUICK, "--baselines-only", "--compare-with", run)
    assert f"SVM on MFCC statistics - SVM on MFCC statistics of {run}: +0.0 points" in again.stdout
    assert "extracting" not in again.stderr, "the clips of the earlier call are kept"
    other = one_error(tmgc_train("cross-validate", songs, run, *QUICK, "--baselines-only", "--seed", 1))
    assert "were begun with others, which settings.json there lists" in other


def test_weights_that_know_the_songs_are_refused(songs: Path, run: Path) -> None:
    assert tmgc_train("prepare", songs, run / "known", *QUICK[2:]).exit_code == 0
    (run / "known" / "model.keras").touch()
    for weights in (run / "known", run / "known" / "model.keras"):
        line = one_error(tmgc_train("cross-validate", songs, run / "cv", *TINY, "--weights", weights))
        assert "known was trained on" in line
    assert not (run / "cv" / "settings.json").exists(), "the next call may have other options"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--folds", 1], "1 is not in the range x>=2"),
        (["--baselines-only", "--no-baseline"], "--baselines-only is for a RUN without networks"),
        (["--compare-with", "nowhere"], "cross-validations are compared by their predictions.csv: nowhere has none"),
        (["--baselines-only", "--baseline-teacher", "nobody"], "a teacher is musicnn or the folder of a trained run"),
        (["--architecture", "nothing"], "nothing"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: list[object], expected: str, songs: Path, run: Path) -> None:
    line = one_error(tmgc_train("cross-validate", songs, run, *QUICK, *options))
    assert expected in line
    assert not (run / "settings.json").exists(), "the next call may have other options"


def test_a_wrong_folder_is_refused_in_one_line(songs: Path, run: Path) -> None:
    assert "there is no folder" in one_error(tmgc_train("cross-validate", songs / "no", run, *QUICK))
    inside = one_error(tmgc_train("cross-validate", songs, songs / "run", *QUICK, "--baselines-only"))
    assert "a run must not be in the folder of songs" in inside


@pytest.mark.full
def test_a_killed_cross_validation_continues_with_the_fold_at_work(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=9, genres=("Caz", "Halk"), seconds=2.6)
    run = tmp_path / "run"
    command = ["cross-validate", songs, run, *TINY, "--epochs", 20, "--patience", 20]
    code = "import tests.factories; from train.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, *map(str, command)], env=os.environ) as killed:
        while not list((run / "fold-2" / ".training").glob("epoch-00000[2-9]")):
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    trained = Run(run / "fold-1").model.stat().st_mtime_ns
    assert not Run(run / "fold-2").model.exists()
    assert "training.json there lists" in one_error(tmgc_train(*command, "--batch-size", 5))

    done = tmgc_train(*command)
    assert done.exit_code == 0, done.output
    notices = [line for line in done.stderr.splitlines() if " of 3: " in line or "fine-tuning" in line]
    assert notices[0] == "fold-2 of 3: training"
    assert notices[1].startswith("resuming fine-tuning")
    assert Run(run / "fold-1").model.stat().st_mtime_ns == trained
    document = json.loads((run / "cross-validation.json").read_text("utf-8"))
    network, svm = document["methods"]
    assert network["scores"]["clips"] == svm["scores"]["clips"] == 18
    assert network["scores"]["clip_accuracy"] > 0.8, "genres differ in pitch"
    assert 0 <= network["calibration_error"] < 1
    assert document["comparisons"][0]["first"] == "network"

    assert "leave it out" in one_error(tmgc_train("cross-validate", songs, run, *TINY, "--baselines-only"))
    fold = tmgc_train("evaluate", run / "fold-3", "--json")
    assert json.loads(fold.stdout)["clip_accuracy"] == network["folds"][2]["clip_accuracy"]
