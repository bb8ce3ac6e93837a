"""``tmgc-train`` as a whole: everything in one command, and what is imported when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from tests.factories import RATE
from tests.train.cli.conftest import one_error, tmgc_train
from train.run import Run

HEAVY = ("tensorflow", "keras", "librosa", "matplotlib", "scipy", "sklearn", "jinja2")


@pytest.mark.parametrize("module", ["train.cli", "train.training", "train.training.architectures"])
def test_heavy_libraries_are_not_imported_before_they_are_needed(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_lists_the_subcommands() -> None:
    done = tmgc_train("--help")
    assert done.exit_code == 0
    for name in ("all", "compare-rates", "demo-corpus", "evaluate", "fetch", "fit", "prepare"):
        assert f"  {name}" in done.stdout


def test_all_prepares_trains_and_evaluates(songs: Path, run: Path) -> None:
    preparation = ["--offsets", "0", "--image-size", 32, "--sample-rate", RATE]
    training = ["--architecture", "tiny", "--weights", "none", "--head-epochs", 0, "--epochs", 1, "--augment", "none"]
    done = tmgc_train("all", songs, run, *preparation, *training)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[-1] == f"next: tmgc-export {run}"
    assert "2 songs" in done.stdout
    assert Run(run).card().accuracy["split"] == "test"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--architecture", "resnet"], "--architecture is"),
        (["--weights", "nowhere.weights.h5"], "existing weights file"),
        (["--width", "0.5"], "--width is for networks that can be built narrower or wider, such as efficientnet_lite0"),
        (["--architecture", "mobilenet_v2", "--width", "-1"], "--width is above 0 and at most 4, got -1"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_songs_are_prepared(
    options: list[str], message: str, songs: Path, run: Path
) -> None:
    assert message in one_error(tmgc_train("all", songs, run, "--offsets", "0", *options))
    assert not run.exists()
    assert len(list(songs.rglob("*.wav"))) == 6


def test_without_the_internet_imagenet_weights_name_the_other_ways(
    songs: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras  # noqa: F401  # its settings are read when it is imported

    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr("urllib.request._opener", None)  # which keeps the proxies of its first request
    for name in ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    line = one_error(tmgc_train("all", songs, run, "--offsets", 0, "--image-size", 75, "--sample-rate", RATE))
    assert "--weights none" in line
    assert "--weights FILE" in line


@pytest.mark.full
def test_evaluate_prints_the_accuracy_on_the_test_split(trained_run: Run, tmp_path: Path) -> None:
    run = Run(Path(copytree(trained_run.folder, tmp_path / "copy")))
    document = json.loads(tmgc_train("evaluate", run.folder, "--json").stdout)
    assert document["song_accuracy"] >= 0.8
    assert document == json.loads(run.evaluation_json("test").read_text("utf-8"))
    assert np.sum(document["confusion"]) == document["clips"]


@pytest.mark.full
def test_it_trains_on_real_recordings_and_is_compared_with_the_baseline(labelled_music: Path, tmp_path: Path) -> None:
    def in_a_process(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from train.cli import main; main()", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    small = ["--architecture", "mobilenet_v3_small", "--weights", "none", "--image-size", 96]
    quick = ["--offsets", 0, "--augment", "none", "--head-epochs", 12, "--epochs", 1, "--unfreeze", 0.1]
    done = in_a_process("all", labelled_music, tmp_path / "real", *small, *quick, "--learning-rate", 1e-3)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "real")
    assert run.card().genres == tuple(sorted(folder.name for folder in labelled_music.iterdir() if folder.is_dir()))
    assert not run.card().demonstration
    low, high = run.card().accuracy["clip_accuracy_ci"]
    assert low > 0.1, "better than chance"
    assert high <= 1
    document = json.loads(in_a_process("evaluate", run.folder, "--baseline", "--json").stdout)
    assert 0.4 < document["baselines"][0]["clip_accuracy"] < 0.9, "of ten genres, five to seven in ten are usual"
    verdict = document["baselines"][0]["verdict"]
    assert verdict in run.report_html("test").read_text("utf-8")
