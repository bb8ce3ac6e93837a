"""``tmgc-train prepare`` and ``demo-corpus``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.factories import RATE
from tests.train.cli.conftest import one_error, tmgc_train
from train.dataset.dataset import read_dataset
from train.run import Run

USUAL = ["--image-size", 32, "--sample-rate", RATE]


def test_a_demonstration_corpus_is_announced_as_such(tmp_path: Path) -> None:
    done = tmgc_train("demo-corpus", tmp_path / "songs", "--songs", 1, "--seconds", 2)
    assert done.exit_code == 0, done.stderr
    assert "demonstration only" in done.stderr
    assert len(list((tmp_path / "songs").glob("*/*.flac"))) == 10


def test_prepare_counts_the_clips_of_each_split_and_names_the_next_step(songs: Path, run: Path) -> None:
    done = tmgc_train("prepare", songs, run, "--offsets", "0", *USUAL)
    assert done.exit_code == 0, done.stderr
    assert "train: 2 clips of 2 songs, 0 artists" in done.stderr
    assert "tags name an artist of 0 of 6 songs; songs of an unknown artist may be in several splits" in done.stderr
    assert done.stderr.splitlines()[-1] == f"next: tmgc-train fit {run}"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (["--image-size", "24"], (24, 24, 3)),
        (["--image-size", "16x40", "--colormap", "gray"], (16, 40, 1)),
        (["--image-size", "16x40", "--colormap", "magma"], (16, 40, 3)),
    ],
)
def test_images_have_the_size_and_the_channels_that_are_asked_for(
    songs: Path, run: Path, options: list[str], shape: tuple[int, ...]
) -> None:
    done = tmgc_train("prepare", songs, run, "--offsets", "0", "--sample-rate", RATE, *options)
    assert done.exit_code == 0, done.stderr
    dataset = read_dataset(Run(run))
    images = dataset.images(dataset.clips)
    assert images.shape == (6, *shape)
    assert np.ptp(images) > 100


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {0.26, 2.52, 4.78}),
        (("--offsets", "0.5,60"), {0.5}),
        (("--offsets", "0.5,60", "--windows-per-song", "2"), {0.5, 3.77}),
    ],
)
def test_songs_that_are_too_short_for_the_offsets_of_the_original_have_windows(
    songs: Path, run: Path, options: tuple[str, ...], expected: set[float]
) -> None:
    for path in songs.rglob("*.wav"):
        soundfile.write(path, np.random.default_rng(path.stat().st_ino).uniform(-0.5, 0.5, round(7.05 * RATE)), RATE)
    done = tmgc_train("prepare", songs, run, *options, *USUAL)
    assert done.exit_code == 0, done.stderr
    assert {clip.offset_seconds for clip in read_dataset(Run(run)).clips} == expected


def test_prepare_counts_the_artists_of_each_split_and_the_songs_without_one(songs: Path, run: Path) -> None:
    *tagged, _ = sorted(songs.rglob("*.wav"))
    artists = ("Sezen Aksu", "Tarkan", "Ajda Pekkan", "AKSU, SEZEN", "Tarkan & Sıla")
    for path, artist in zip(tagged, artists, strict=True):
        with soundfile.SoundFile(path, "r+") as file:
            file.artist = artist
    done = tmgc_train("prepare", songs, run, "--offsets", "0", *USUAL)
    assert done.exit_code == 0, done.stderr
    assert "tags name an artist of 5 of 6 songs" in done.stderr
    assert sum(int(line.split()[-2]) for line in done.stderr.splitlines() if line.endswith(" artists")) == 3


def test_prepare_accounts_for_every_file(songs: Path, run: Path) -> None:
    for genre in ("Caz", "Halk"):
        soundfile.write(songs / genre / "another.wav", np.random.default_rng(len(genre)).random(3 * RATE) - 0.5, RATE)
    (songs / "Halk" / "cover.jpg").touch()
    (songs / "Halk" / "empty.mp3").touch()
    (songs / "Caz" / ".hidden.wav").touch()
    soundfile.write(songs / "Caz" / "short.wav", np.zeros(100), RATE)
    done = tmgc_train("prepare", songs, run, "--offsets", "0,9", "--split-ratios", "50,25,25", *USUAL)
    assert "genres: Caz 5, Halk 5" in done.stderr
    assert "not songs: 2 files: 1 hidden; 1 not an audio file, by its name" in done.stderr
    assert "clips and songs left out: 10 at ... s: the song ends at ... s; 1 " in done.stderr
    assert "train: 4 clips of 4 songs" in done.stderr
    assert f"12 files: 8 used, 3 left out, 1 not audio. Reasons: {run / 'skipped.csv'}" in done.stderr
    assert sum(path.is_file() for path in songs.rglob("*")) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "NOWHERE", "RUN"], "there is no folder"),
        (["prepare", "EMPTY", "RUN"], "found 0 songs"),
        (["prepare", "SONGS", "RUN", "--offsets", "0,x"], "offsets are numbers"),
        (["prepare", "SONGS", "RUN", "--offsets", "-1"], "offsets are seconds"),
        (["prepare", "SONGS", "RUN", "--offsets", "60"], "--offsets must fit"),
        (["prepare", "SONGS", "RUN", "--windows-per-song", "3"], "got 3 for 4 offsets"),
        (["prepare", "SONGS", "RUN", "--windows-per-song", "0"], "got 0 for 4 offsets"),
        (["prepare", "SONGS", "RUN", "--windows-per-song", "101"], "at most 100, got 101"),
        (["prepare", "SONGS", "RUN", "--split-ratios", "80,20"], "add up to 100 %"),
        (["prepare", "SONGS", "RUN", "--split-ratios", "90,10,10"], "add up to 100 %"),
        (["prepare", "SONGS", "RUN", "--split-ratios", "100,0,0"], "each above 0"),
        (["prepare", "SONGS", "RUN", "--group-by", "groups"], "groups.csv"),
        (["prepare", "SONGS", "RUN", "--group-by", "album"], "album"),
        (["prepare", "SONGS", "RUN", "--image-size", "0"], "image_height must be a whole number from 1"),
        (["prepare", "SONGS", "RUN", "--image-size", "1025"], "image_height must be a whole number from 1 to 1024"),
        (["prepare", "SONGS", "RUN", "--image-size", "64x1025"], "image_width must be a whole number from 1 to 1024"),
        (["prepare", "SONGS", "RUN", "--image-size", "64x"], "height x width such as 64x173, got '64x'"),
        (["prepare", "SONGS", "RUN", "--image-size", "-64"], "height x width such as 64x173, got '-64'"),
        (["prepare", "SONGS", "RUN", "--image-size", "64*173"], "height x width such as 64x173, got '64*173'"),
        (["prepare", "SONGS", "RUN", "--colormap", "viridis"], "viridis"),
        (["prepare", "SONGS", "RUN", "--sample-rate", "1"], "sample_rate must be a whole number from 1000 to 192000"),
        (["prepare", "SONGS", "RUN", "--sample-rate", "384000"], "sample_rate must be a whole number from 1000"),
        (["demo-corpus", "SONGS"], "SONGS"),
        (["demo-corpus", "RUN", "--difficulty", "impossible"], "impossible"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_no_song_is_lost(
    arguments: list[str], message: str, songs: Path, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    paths = {"SONGS": songs, "RUN": run, "EMPTY": tmp_path / "empty", "NOWHERE": tmp_path / "nowhere"}
    error = one_error(tmgc_train(*(paths.get(argument, argument) for argument in arguments)))
    assert message.replace("SONGS", str(songs)) in error
    assert len(list(songs.rglob("*.wav"))) == 6


def test_a_run_that_cannot_be_written_to_is_refused_before_the_work(
    songs: Path, run: Path, read_only: Callable[[Path], Path]
) -> None:
    run.mkdir()
    read_only(run)
    error = one_error(tmgc_train("prepare", songs, run, "--offsets", "0", *USUAL))
    assert f"results go to {run}: {run} cannot be written to" in error
    assert f"{run} cannot be written to" in one_error(tmgc_train("prepare", songs, run / "new" / "run", *USUAL))


def test_a_data_set_that_is_split_already_is_prepared_as_it_is(songs: Path, run: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        for genre in ("Caz", "Halk"):
            (songs.parent / "split" / split / genre).mkdir(parents=True)
            (songs / genre / f"song {number}.wav").rename(songs.parent / "split" / split / genre / f"{number}.wav")
    arguments = ["prepare", songs.parent / "split", run, "--offsets", "0", *USUAL]
    assert "--split-folders" in one_error(tmgc_train(*arguments))
    done = tmgc_train(*arguments, "--split-folders")
    assert done.exit_code == 0, done.stderr
    assert "genres: Caz 3, Halk 3" in done.stderr
    assert "splits: train 2, validation 2, test 2" in done.stderr


def test_a_genre_with_too_few_songs_to_split_is_named(songs: Path, run: Path) -> None:
    (songs / "Halk" / "song 0.wav").unlink()
    assert "Halk has 2" in one_error(tmgc_train("prepare", songs, run, "--offsets", "0"))


def test_the_same_command_again_logs_that_nothing_changed(songs: Path, run: Path) -> None:
    first, again = (tmgc_train("prepare", songs, run, "--offsets", "0", *USUAL) for _ in range(2))
    notice = f"nothing changed: the dataset of {len(list(songs.rglob('*.wav')))} clips is up to date"
    assert notice not in first.stderr
    assert notice in again.stderr.splitlines()
