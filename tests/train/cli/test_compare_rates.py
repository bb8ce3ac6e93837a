"""``tmgc-train compare-rates`` as its users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.factories import SIDE, write_songs
from tests.train.cli.conftest import one_error, tmgc_train
from train.evaluation.sample_rates import RATES
from train.run import Run


def test_a_wrong_folder_of_songs_can_be_corrected(tmp_path: Path) -> None:
    assert "there is no folder" in one_error(tmgc_train("compare-rates", tmp_path / "sonsg", tmp_path / "rates"))
    assert not (tmp_path / "rates" / "settings.json").exists()


def test_a_comparison_is_resumed_only_with_the_options_that_it_began_with(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "settings.json").write_text("{}", "utf-8")
    line = one_error(tmgc_train("compare-rates", songs, tmp_path / "rates", "--offsets", 0))
    assert "have the same songs and options" in line
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
    assert "have the same songs and options" in one_error(other)
