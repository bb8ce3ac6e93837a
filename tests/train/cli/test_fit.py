"""``tmgc-train fit``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from tests.factories import tiny_dataset, write_songs
from tests.train.cli.conftest import one_error, tmgc_train

TINY = ["--architecture", "tiny", "--weights", "none", "--head-epochs", 0, "--augment", "none"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was not trained. Do not write into it."""
    folder = tmp_path_factory.mktemp("prepared")
    return tiny_dataset(write_songs(folder / "songs", songs=3, genres=("Caz", "Halk")), folder / "run").run.folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["NOWHERE"], "a run folder must exist"),
        (["EMPTY"], "tmgc-train prepare"),
        (["RUN", "--epochs", "0"], "--epochs is at least 1"),
        (["RUN", "--learning-rate", "fast"], "a number such as 1e-4"),
        (["RUN", "--augment", "masks"], "got masks"),
        (["RUN", "--architecture", "resnet"], "--architecture is"),
        (["RUN", "--architecture", "tiny", "--weights", "imagenet"], "are not of tiny: use --weights none"),
        (["RUN", "--weights", "nowhere.weights.h5"], "existing weights file"),
        (["RUN", "--architecture", "tiny", "--weights", "EMPTY"], "empty/model.keras. Check the spelling"),
        (["RUN", *TINY, "--teacher", "musicn"], "a teacher is musicnn or the folder of a trained run, got musicn"),
        (["RUN", *TINY, "--teacher", "RUN"], "a trained run has a card.json"),
        (["RUN", *TINY, "--teacher-weight", "0"], "--teacher-weight is above 0, got 0.0"),
        (["RUN", *TINY, "--teacher-weight", "2"], "--teacher-weight is the weight of a teacher"),
        (["RUN", "--architecture", "tiny_waveform", "--augment", "bandwidth"], "tiny_waveform takes waveforms"),
        (["RUN", "--recipe", "reference", "--teacher", "RUN"], "a trained run has a card.json"),
        (["RUN", "--recipe", "few-songs", "--no-refit"], "--recipe few-songs sets --refit itself"),
        (["RUN", "--recipe", "few-songs", "--augment", "gain"], "--recipe few-songs sets --augment itself"),
        (["RUN", "--recipe", "many-songs"], "not one of"),
        (
            ["RUN", "--architecture", "tiny", "--weights", "none", "--monitor", "last", "--patience", "2"],
            "ends nothing",
        ),
        (["RUN", "--recipe", "reference", "--epochs", "3"], "--recipe reference sets --epochs itself"),
        (["RUN", "--recipe", "reference", "--augment", "none"], "--recipe reference sets --augment itself"),
        (["RUN", "--resume"], "there is none"),
        (["RUN", "--resume", "--epochs", "3"], "got --epochs: leave it out"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: list[str], message: str, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    paths = {"RUN": prepared, "EMPTY": tmp_path / "empty", "NOWHERE": tmp_path / "nowhere"}
    assert message in one_error(tmgc_train("fit", *(paths.get(argument, argument) for argument in arguments)))


@pytest.mark.parametrize("closed", [".", "tensorboard", "tensorboard/head/train", ".training"])
def test_a_run_that_cannot_be_written_to_is_refused_in_one_line_before_the_training(
    prepared: Path, tmp_path: Path, read_only: Callable[[Path], Path], closed: str
) -> None:
    run = Path(copytree(prepared, tmp_path / "run"))
    (run / closed).mkdir(parents=True, exist_ok=True)
    read_only(run / closed)
    error = one_error(tmgc_train("fit", run, *TINY))
    assert f"{run / closed} cannot be written to" in error
    assert not (run / "model.keras").exists()


def test_the_newest_prepared_run_is_trained_with_a_line_for_each_phase_and_epoch(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path(copytree(prepared, "runs/mine"))
    (run / "exports").mkdir()
    done = tmgc_train("fit", *TINY, "--epochs", 1, "--seed", 7)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert "saving the model" in lines
    assert any(line.startswith("  epoch 1: accuracy") for line in lines)
    assert lines[-2:] == [
        f"  the files in {run / 'exports'} are of an earlier model: tmgc-export {run} --force",
        f"next: tmgc-train evaluate {run}",
    ]
    settings = json.loads((run / "card.json").read_text("utf-8"))["training"]["settings"]
    assert (settings["architecture"], settings["seed"], settings["augmentation"]["masks"]) == ("tiny", 7, 0)


@pytest.mark.parametrize("interrupted_in", ["head", "fine-tuning"])
def test_ctrl_c_ends_a_training_with_one_line_that_tells_what_is_kept(
    interrupted_in: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(copytree(prepared, tmp_path / "run"))

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    where = {"head": "_calibrate", "fine-tuning": "_callbacks"}[interrupted_in]
    monkeypatch.setattr(f"train.training.trainer._Training.{where}", interrupt)
    done = tmgc_train("fit", run, *TINY)
    assert done.exit_code == 130
    assert (
        done.stderr.splitlines()[-1]
        == {
            "head": "interrupted before fine-tuning: the same command begins it again",
            "fine-tuning": f"interrupted: tmgc-train fit {run} --resume continues from the last complete epoch",
        }[interrupted_in]
    )
    if interrupted_in == "fine-tuning":
        assert "--no-resume" in one_error(tmgc_train("fit", run, *TINY))
