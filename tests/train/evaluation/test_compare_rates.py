"""Rates are compared on the same clips, and only real differences are called so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import ModelCard, SpectrogramSettings, TmgcError
from tests.conftest import tone
from tests.train.test_cli import one_error, tmgc_train
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import Clip, Dataset, write_dataset
from train.evaluation.sample_rates import RATES, check_same_split, compare_answers, compare_rates
from train.run import Run

GENRES = ("Caz", "Halk")


def clips_of(songs: int) -> list[Clip]:
    return [
        Clip(
            f"{number}", f"{number}.mp3", GENRES[number % 2], "test", 60.0, 0.5, level_dbfs=-20.0, group=f"{number}.mp3"
        )
        for number in range(songs)
    ]


def predictions(clips: list[Clip], *, right: int) -> NDArray[np.float32]:
    """The first clips are named right."""
    truth = np.array([GENRES.index(clip.genre) for clip in clips])
    return np.eye(2, dtype=np.float32)[np.where(np.arange(len(clips)) < right, truth, 1 - truth)]


def test_three_rates_stand_side_by_side_with_every_difference_between_two() -> None:
    clips = clips_of(100)
    found = compare_answers(
        {rate: predictions(clips, right=right) for rate, right in zip(RATES, (60, 90, 92), strict=True)}, clips, GENRES
    )
    assert [(rate.sample_rate, rate.clip_accuracy) for rate in found.rates] == [
        (11_025, 0.6),
        (22_050, 0.9),
        (44_100, 0.92),
    ]
    assert [(pair.higher, pair.lower, round(pair.difference, 6), pair.better) for pair in found.differences] == [
        (22_050, 11_025, 0.3, 22_050),
        (44_100, 11_025, 0.32, 44_100),
        (44_100, 22_050, 0.02, None),
    ]
    for row in found.rates:
        assert row.clip_interval[0] < row.clip_accuracy < row.clip_interval[1]
        assert row.song_interval[0] < row.song_accuracy < row.song_interval[1]


def test_a_person_reads_which_differences_are_real() -> None:
    clips = clips_of(100)
    given = {
        44_100: predictions(clips, right=50),
        11_025: predictions(clips, right=90),
        22_050: predictions(clips, right=89),
    }
    text = compare_answers(given, clips, GENRES, clips_left_out=2, demonstration=True).as_text()
    assert "100 clips of 100 test songs" in text
    assert "2 other clips could not be had at every rate" in text
    assert " 11025 Hz   clips named right 90.0% (" in text
    assert "44100 Hz against 11025 Hz: -40.0 points of clips (" in text
    assert text.count("11025 Hz is better") == text.count("22050 Hz is better") == 1
    assert text.count("no difference can be told from 100 songs") == 1
    assert "demonstration only" in text


def write_songs(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, genre in enumerate(GENRES):
        (folder / genre).mkdir(parents=True)
        for song in range(12):
            sound = tone(2.6, sample_rate=22_050, hz=rng.uniform(0.9, 1.1) * (300.0, 1500.0)[number])
            soundfile.write(folder / genre / f"{song}.wav", sound + rng.normal(0, 0.01, len(sound)), 22_050)
    return folder


@pytest.fixture
def corpora(tmp_path: Path) -> list[Dataset]:
    """The same songs at three rates."""
    songs = write_songs(tmp_path / "songs")
    found = []
    for rate in RATES:
        pictures = SpectrogramSettings(sample_rate=rate, image_height=32, image_width=32)
        settings = DatasetConfig(offsets_seconds=(0.0, 0.5), spectrogram=pictures)
        found.append(prepare(songs, Run(tmp_path / "rates" / str(rate)), settings, workers=1)[0])
    return found


def train(dataset: Dataset) -> None:
    """A network that weighs the mean of the rows of a picture, and its card."""
    import keras

    keras.utils.set_random_seed(0)
    picture = keras.Input((32, 32, 3), dtype="uint8")
    rows = keras.layers.AveragePooling2D((1, 32))(keras.layers.Rescaling(1 / 255)(picture))
    network = keras.Model(picture, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(rows)))
    network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    clips = dataset.of("train")
    network.fit(dataset.images(clips), dataset.labels(clips), epochs=30, verbose=0)
    network.save(dataset.run.model)
    colormap = tuple(map(tuple, dataset.colormap.tolist()))
    trained_on = {"dataset_sha256": dataset.fingerprint()}
    card = ModelCard(
        name=dataset.run.name, genres=GENRES, spectrogram=dataset.spectrogram, colormap=colormap, training=trained_on
    )
    dataset.run.card_json.write_text(card.to_json(), "utf-8")


def test_each_rate_answers_for_the_clips_that_all_have(corpora: list[Dataset]) -> None:
    first, *others = corpora
    lost = first.of("test")[0]
    first = replace(first, clips=tuple(clip for clip in first.clips if clip != lost))
    write_dataset(first)
    for dataset in (first, *others):
        train(dataset)
    found = compare_rates([first, *others])
    assert [rate.sample_rate for rate in found.rates] == list(RATES)
    assert (found.clips, found.clips_left_out) == (len(corpora[0].of("test")) - 1, 1)
    assert all(rate.clip_accuracy == 1.0 for rate in found.rates)
    assert [pair.better for pair in found.differences] == [None, None, None]
    document = json.loads(found.to_json())
    assert [rate["sample_rate"] for rate in document["rates"]] == list(RATES)


def test_pictures_of_a_lower_rate_have_fewer_frames(corpora: list[Dataset]) -> None:
    assert [dataset.spectrogram.frame_count for dataset in corpora] == [87, 173, 345]


def test_the_same_seed_splits_the_songs_in_the_same_way_at_every_rate(corpora: list[Dataset]) -> None:
    check_same_split(corpora)
    splits = [{clip.name: clip.split for clip in dataset.clips} for dataset in corpora]
    assert splits[0] == splits[1] == splits[2]


def test_rates_on_different_splits_are_not_compared(corpora: list[Dataset]) -> None:
    moved = replace(corpora[2].clips[0], split="validation" if corpora[2].clips[0].split == "test" else "test")
    other = replace(corpora[2], clips=(moved, *corpora[2].clips[1:]))
    with pytest.raises(TmgcError, match=f"1 clips, {moved.name} for one, are on other splits"):
        check_same_split([*corpora[:2], other])
    with pytest.raises(TmgcError, match="the genres differ"):
        check_same_split([*corpora[:2], replace(corpora[2], genres=("Caz", "Rap"))])


def test_a_wrong_folder_of_songs_can_be_corrected(tmp_path: Path) -> None:
    assert "there is no folder" in one_error(tmgc_train("compare-rates", tmp_path / "sonsg", tmp_path / "rates"))
    assert not (tmp_path / "rates" / "settings.json").exists()


def test_a_comparison_goes_on_only_with_the_options_that_it_began_with(tmp_path: Path) -> None:
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "settings.json").write_text("{}", "utf-8")
    line = one_error(tmgc_train("compare-rates", write_songs(tmp_path / "songs"), tmp_path / "rates", "--offsets", 0))
    assert "begun with other songs or options" in line
    assert not (tmp_path / "rates" / "11025").exists()


@pytest.mark.full
def test_it_trains_and_judges_at_every_rate_and_goes_on_after_an_interruption(tmp_path: Path) -> None:
    rates = tmp_path / "rates"
    quick = ["--offsets", "0,0.5", "--image-size", 64, "--architecture", "mobilenet_v3_small", "--weights", "none"]
    command = ["compare-rates", write_songs(tmp_path / "songs"), rates, *quick, "--head-epochs", 2, "--epochs", 1]
    done = tmgc_train(*command)
    assert done.returncode == 0, done.stderr
    for rate in RATES:
        assert Run(rates / str(rate)).card().spectrogram.sample_rate == rate
        assert f" {rate} Hz   clips named right" in done.stdout
    written = json.loads((rates / "compare-rates.json").read_text("utf-8"))
    Run(rates / "44100").evaluation_json("test").unlink()
    trained = Run(rates / "11025").model.stat().st_mtime_ns
    again = tmgc_train(*command, "--json")
    assert Run(rates / "11025").model.stat().st_mtime_ns == trained, "what was judged is not trained again"
    assert [line for line in again.stderr.splitlines() if " Hz: " in line] == ["44100 Hz: judging"]
    assert json.loads(again.stdout)["rates"][:2] == written["rates"][:2]
    other = tmgc_train(*command, "--seed", 1)
    assert "begun with other songs or options" in one_error(other)
