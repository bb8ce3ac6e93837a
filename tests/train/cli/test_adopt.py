from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_runtime.spectrogram import SpectrogramSettings
from tests.factories import random_pretraining
from train.cli import main
from train.run import Run

SETTINGS = SpectrogramSettings(sample_rate=8000, window_seconds=0.5, n_fft=256, image_height=32, image_width=32)


def _adopt(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["adopt", *map(str, arguments)])


def test_a_pretrained_run_is_adopted_with_the_genres_of_a_file(tmp_path: Path) -> None:
    random_pretraining(tmp_path / "pretrained", SETTINGS)
    (tmp_path / "mapping.json").write_text('{"Türkü": ["folk"], "Caz": ["jazz"]}', "utf-8")
    done = _adopt(tmp_path / "pretrained", tmp_path / "world", "--mapping", tmp_path / "mapping.json")
    assert (done.exit_code, done.stdout) == (0, "")
    assert Run(tmp_path / "world").card().genres == ("Türkü", "Caz")
    assert "Arabesk, Tasavvuf" in done.stderr
    assert f"next: tmgc-export {tmp_path / 'world'}" in done.stderr


@pytest.mark.parametrize(
    ("teacher", "reason"),
    [("musicn", "musicnn or the folder of a pretrained run, got musicn"), (".", "is no pretraining")],
)
def test_what_is_no_teacher_is_refused(
    teacher: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _adopt(teacher, "world")
    assert done.exit_code == 2
    assert reason in done.stderr
    assert not Path("world").exists()


def test_a_folder_in_use_is_refused_before_the_teacher_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "dataset.csv").touch()
    done = _adopt("musicnn", tmp_path)
    assert done.exit_code == 2
    assert "holds dataset.csv" in done.stderr
    (tmp_path / "file").touch()
    done = _adopt("musicnn", tmp_path / "file")
    assert done.exit_code == 2
    assert "is a file" in done.stderr
