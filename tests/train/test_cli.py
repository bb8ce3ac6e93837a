"""``tmgc-train`` as its user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import soundfile

from tests.conftest import tone
from train.run import Run


def tmgc_train(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from train.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def one_error(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.lower().startswith("error: ")]
    return line


def write_songs(folder: Path, *, songs: int = 3) -> Path:
    for number, genre in enumerate(("Caz", "Halk")):
        (folder / genre).mkdir(parents=True)
        for song in range(songs):
            sound = tone(2.5, sample_rate=22_050, hz=200.0 * (number + 1) + song)
            soundfile.write(folder / genre / f"{song}.wav", sound, 22_050)
    return folder


def test_a_demonstration_corpus_says_what_it_is(tmp_path: Path) -> None:
    done = tmgc_train("demo-corpus", tmp_path / "songs", "--songs", 1, "--seconds", 2)
    assert done.returncode == 0, done.stderr
    assert "demonstration only" in done.stderr
    assert len(list((tmp_path / "songs").glob("*/*.flac"))) == 10


def test_prepare_counts_the_clips_of_each_split_and_names_the_next_step(tmp_path: Path) -> None:
    done = tmgc_train(
        "prepare", write_songs(tmp_path / "songs"), tmp_path / "run", "--offsets", "0", "--image-size", 75
    )
    assert done.returncode == 0, done.stderr
    assert "train: 2 clips of 2 songs" in done.stderr
    assert done.stderr.splitlines()[-1] == f"next: tmgc-train fit {tmp_path / 'run'}"


def test_prepare_accounts_for_every_file(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=4)
    (songs / "Halk" / "cover.jpg").touch()
    (songs / "Halk" / "empty.mp3").touch()
    (songs / "Caz" / ".hidden.wav").touch()
    soundfile.write(songs / "Caz" / "short.wav", np.zeros(100), 22_050)
    done = tmgc_train(
        "prepare", songs, tmp_path / "run", "--offsets", "0,9", "--image-size", 75, "--split-ratios", "50,25,25"
    )
    assert "train: 4 clips of 4 songs" in done.stderr
    assert f"12 files: 8 used, 3 left out, 1 not audio. Reasons: {tmp_path / 'run' / 'skipped.csv'}" in done.stderr
    assert sum(path.is_file() for path in songs.rglob("*")) == 12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prepare", "NOWHERE", "RUN"], "there is no folder"),
        (["prepare", "EMPTY", "RUN"], "found 0 songs"),
        (["prepare", "SONGS", "RUN", "--offsets", "0,x"], "offsets are numbers"),
        (["prepare", "SONGS", "RUN", "--offsets", "-1"], "offsets are seconds"),
        (["prepare", "SONGS", "RUN", "--offsets", "60"], "--offsets must fit"),
        (["prepare", "SONGS", "RUN", "--split-ratios", "80,20"], "add up to 100 %"),
        (["prepare", "SONGS", "RUN", "--split-ratios", "90,10,10"], "add up to 100 %"),
        (["prepare", "SONGS", "RUN", "--split-ratios", "100,0,0"], "each above 0"),
        (["prepare", "SONGS", "RUN", "--group-by", "groups"], "groups.csv"),
        (["prepare", "SONGS", "RUN", "--group-by", "album"], "album"),
        (["prepare", "SONGS", "RUN", "--image-size", "0"], "image_height must be a number above 0"),
        (["fit", "NOWHERE"], "a run folder must exist"),
        (["fit", "EMPTY"], "tmgc-train prepare"),
        (["fit", "EMPTY", "--epochs", "0"], "--epochs is at least 1"),
        (["fit", "EMPTY", "--recipe", "original", "--epochs", "3"], "--recipe original sets --epochs itself"),
        (["fit", "EMPTY", "--recipe", "original", "--augment", "none"], "--recipe original sets --augment itself"),
        (["fit", "EMPTY", "--resume", "--epochs", "3"], "got --epochs: leave it out"),
        (["evaluate", "EMPTY"], "tmgc-train prepare"),
        (["all", "SONGS", "RUN", "--architecture", "resnet"], "--architecture is"),
        (["demo-corpus", "SONGS"], "SONGS"),
        (["demo-corpus", "RUN", "--difficulty", "impossible"], "impossible"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "EMPTY").mkdir()
    write_songs(tmp_path / "SONGS")
    places = {name: str(tmp_path / name) for name in ("NOWHERE", "EMPTY", "SONGS", "RUN")}
    done = tmgc_train(*(places.get(argument, argument) for argument in arguments))
    assert said in one_error(done)
    assert len(list((tmp_path / "SONGS").rglob("*.wav"))) == 6, "nothing is lost"


def test_a_genre_with_too_few_songs_to_split_is_named(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    (songs / "Halk" / "0.wav").unlink()
    assert "Halk has 2" in one_error(tmgc_train("prepare", songs, tmp_path / "run", "--offsets", "0"))


def test_without_the_internet_imagenet_weights_name_the_other_ways(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    nowhere = "http://127.0.0.1:9"
    offline = {"KERAS_HOME": str(tmp_path), "https_proxy": nowhere, "http_proxy": nowhere}
    line = one_error(tmgc_train("all", songs, tmp_path / "run", "--offsets", 0, "--image-size", 75, **offline))
    assert "--weights none" in line
    assert "--weights FILE" in line


@pytest.mark.parametrize("name", ["tiny_trained_run", pytest.param("trained_run", marks=pytest.mark.full)])
def test_evaluate_prints_the_accuracy_on_the_test_split(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    trained: Run = request.getfixturevalue(name)
    run = Run(Path(copytree(trained.folder, tmp_path / "copy")))
    done = tmgc_train("evaluate", run.folder, "--json")
    document = json.loads(done.stdout)
    assert document["song_accuracy"] >= 0.8
    assert document == json.loads(run.evaluation_json("test").read_text("utf-8"))
    assert np.sum(document["confusion"]) == document["clips"]


@pytest.mark.full
def test_it_trains_on_real_recordings_and_is_held_against_the_baseline(labelled_music: Path, tmp_path: Path) -> None:
    quick = ["--image-size", 75, "--head-epochs", 10, "--epochs", 2, "--batch-normalization", "frozen"]
    usual = ["--offsets", 0, "--weights", "none", "--augment", "none"]
    done = tmgc_train("all", labelled_music, tmp_path / "real", *usual, *quick)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "real")
    assert run.card().genres == tuple(sorted(folder.name for folder in labelled_music.iterdir() if folder.is_dir()))
    assert not run.card().demonstration
    low, high = run.card().accuracy["clip_accuracy_ci"]
    assert low > 0.1, "better than chance"
    assert high <= 1
    document = json.loads(tmgc_train("evaluate", run.folder, "--baseline", "--json").stdout)
    assert 0.4 < document["baseline"]["clip_accuracy"] < 0.9, "of ten genres, some five to seven in ten are told"
    assert document["baseline"]["verdict"] in run.report_html("test").read_text("utf-8")
