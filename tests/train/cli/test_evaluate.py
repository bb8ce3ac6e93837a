"""``tmgc-train evaluate`` and ``tmgc-train compare-rates`` as their users call them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.factories import SIDE, write_songs
from tests.train.cli.conftest import one_error, tmgc_train
from train.dataset.dataset import Dataset
from train.evaluation.results import Evaluation
from train.evaluation.sample_rates import RATES
from train.run import Run

Evaluated = tuple[Dataset, Evaluation, Sequence[str]]
Copy = Callable[[Dataset], Dataset]


def test_evaluate_prints_the_evaluation_on_one_screen(evaluated: Evaluated, copy_of: Copy) -> None:
    dataset, result, _ = evaluated
    copy = copy_of(dataset)
    done = tmgc_train("evaluate", copy.run.folder)
    assert done.exit_code == 0, done.output
    assert result.as_text() in done.stdout
    assert len(done.stdout.splitlines()) <= 24
    assert f"report: {copy.run.report_html('test')}" in done.stderr


def test_evaluating_again_prints_the_same_as_json(evaluated: Evaluated, copy_of: Copy) -> None:
    dataset, result, _ = evaluated
    done = tmgc_train("evaluate", copy_of(dataset).run.folder, "--json")
    assert json.loads(done.stdout) == json.loads(result.to_json())


def test_a_run_that_cannot_be_written_to_is_refused_in_one_line(
    evaluated: Evaluated, copy_of: Copy, read_only: Callable[[Path], Path]
) -> None:
    folder = read_only(copy_of(evaluated[0]).run.folder)
    assert f"results go to {folder}: {folder} cannot be written to" in one_error(tmgc_train("evaluate", folder))


def test_a_wrong_folder_of_songs_can_be_corrected(tmp_path: Path) -> None:
    assert "there is no folder" in one_error(tmgc_train("compare-rates", tmp_path / "sonsg", tmp_path / "rates"))
    assert not (tmp_path / "rates" / "settings.json").exists()


def test_a_comparison_is_resumed_only_with_the_options_that_it_began_with(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "settings.json").write_text("{}", "utf-8")
    line = one_error(tmgc_train("compare-rates", songs, tmp_path / "rates", "--offsets", 0))
    assert "trained with the same songs and options" in line
    assert not (tmp_path / "rates" / "11025").exists()


@pytest.mark.full
def test_compare_rates_trains_and_evaluates_at_every_rate_and_resumes(tmp_path: Path) -> None:
    rates = tmp_path / "rates"
    quick = ["--offsets", "0,0.5", "--image-size", SIDE, "--architecture", "tiny", "--weights", "none"]
    songs = write_songs(tmp_path / "songs", songs=12, genres=("Caz", "Halk"), seconds=2.6)
    command = ["compare-rates", songs, rates, *quick, "--head-epochs", 2, "--epochs", 1]
    done = tmgc_train(*command)
    assert done.exit_code == 0, done.output
    for rate in RATES:
        assert Run(rates / str(rate)).card().spectrogram.sample_rate == rate
        assert f" {rate} Hz   clip accuracy" in done.stdout
    written = json.loads((rates / "compare-rates.json").read_text("utf-8"))
    Run(rates / "44100").evaluation_json("test").unlink()
    trained = Run(rates / "11025").model.stat().st_mtime_ns
    again = tmgc_train(*command, "--json")
    assert Run(rates / "11025").model.stat().st_mtime_ns == trained, "what was evaluated is not trained again"
    assert [line for line in again.stderr.splitlines() if " Hz: " in line] == ["44100 Hz: evaluating"]
    assert json.loads(again.stdout)["rates"][:2] == written["rates"][:2]
    other = tmgc_train(*command, "--seed", 1)
    assert "trained with the same songs and options" in one_error(other)
