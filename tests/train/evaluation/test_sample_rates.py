"""Sample rates are compared on the same clips, and only significant differences count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import ModelCard, SpectrogramSettings, TmgcError
from tests.factories import write_songs
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import Clip, Dataset, read_dataset, write_dataset
from train.evaluation.sample_rates import RATES, check_same_split, compare_predictions, compare_rates
from train.run import Run

GENRES = ("Caz", "Halk")


def clips_of(songs: int) -> list[Clip]:
    return [
        Clip(
            f"{number}", f"{number}.mp3", GENRES[number % 2], "test", 60.0, 0.5, level_dbfs=-20.0, group=f"{number}.mp3"
        )
        for number in range(songs)
    ]


def predictions(clips: list[Clip], *, correct: int) -> NDArray[np.float32]:
    """Only the first clips are classified correctly."""
    truth = np.array([GENRES.index(clip.genre) for clip in clips])
    return np.eye(2, dtype=np.float32)[np.where(np.arange(len(clips)) < correct, truth, 1 - truth)]


def test_three_rates_stand_side_by_side_with_every_difference_between_two() -> None:
    clips = clips_of(100)
    found = compare_predictions(
        {rate: predictions(clips, correct=correct) for rate, correct in zip(RATES, (60, 90, 92), strict=True)},
        clips,
        GENRES,
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
        assert row.clip_accuracy_ci[0] < row.clip_accuracy < row.clip_accuracy_ci[1]
        assert row.song_accuracy_ci[0] < row.song_accuracy < row.song_accuracy_ci[1]


def test_the_text_names_the_significant_differences() -> None:
    clips = clips_of(100)
    probabilities = {
        44_100: predictions(clips, correct=50),
        11_025: predictions(clips, correct=90),
        22_050: predictions(clips, correct=89),
    }
    text = compare_predictions(probabilities, clips, GENRES, clips_left_out=2, demonstration=True).as_text()
    assert "100 clips of 100 test songs" in text
    assert "2 clips left out" in text
    assert " 11025 Hz   clip accuracy 90.0 % (95 % CI " in text
    assert "44100 Hz - 11025 Hz: -40.0 points of clip accuracy (" in text
    assert text.count("11025 Hz is better") == text.count("22050 Hz is better") == 1
    assert text.count("no significant difference on 100 songs") == 1
    assert "demonstration only" in text


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> list[Dataset]:
    """The same songs at three rates. Do not write into them."""
    folder = tmp_path_factory.mktemp("rates")
    songs = write_songs(folder / "songs", songs=12, genres=GENRES, seconds=2.6)
    found = []
    for rate in RATES:
        spectrogram = SpectrogramSettings(sample_rate=rate, image_height=32, image_width=32)
        settings = DatasetConfig(offsets_seconds=(0.0, 0.5), spectrogram=spectrogram)
        found.append(prepare(songs, Run(folder / str(rate)), settings, workers=1)[0])
    return found


def train(dataset: Dataset) -> None:
    """A linear network of the mean spectrum, and its card."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), dtype="uint8")
    rows = keras.layers.AveragePooling2D((1, 32))(keras.layers.Rescaling(1 / 255)(image))
    network = keras.Model(image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(rows)))
    network.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    clips = dataset.of("train")
    network.fit(dataset.images(clips), dataset.labels(clips), epochs=8, verbose=0)
    network.save(dataset.run.model)
    colormap = tuple(map(tuple, dataset.colormap.tolist()))
    trained_on = {"dataset_sha256": dataset.fingerprint()}
    card = ModelCard(
        name=dataset.run.name, genres=GENRES, spectrogram=dataset.spectrogram, colormap=colormap, training=trained_on
    )
    dataset.run.card_json.write_text(card.to_json(), "utf-8")


def test_each_rate_is_evaluated_on_the_clips_that_all_have(datasets: list[Dataset], tmp_path: Path) -> None:
    copies = [copytree(dataset.run.folder, tmp_path / dataset.run.name) for dataset in datasets]
    first, *others = (read_dataset(Run(copy)) for copy in copies)
    lost = first.of("test")[0]
    first = replace(first, clips=tuple(clip for clip in first.clips if clip != lost))
    write_dataset(first)
    for dataset in (first, *others):
        train(dataset)
    found = compare_rates([first, *others])
    assert [rate.sample_rate for rate in found.rates] == list(RATES)
    assert (found.clips, found.clips_left_out) == (len(datasets[0].of("test")) - 1, 1)
    assert all(rate.clip_accuracy == 1.0 for rate in found.rates)
    assert [pair.better for pair in found.differences] == [None, None, None]
    document = json.loads(found.to_json())
    assert [rate["sample_rate"] for rate in document["rates"]] == list(RATES)


def test_images_of_a_lower_rate_have_fewer_frames(datasets: list[Dataset]) -> None:
    assert [dataset.spectrogram.frame_count for dataset in datasets] == [87, 173, 345]


def test_the_same_seed_splits_the_songs_in_the_same_way_at_every_rate(datasets: list[Dataset]) -> None:
    check_same_split(datasets)
    splits = [{clip.source: clip.split for clip in dataset.clips} for dataset in datasets]
    assert splits[0] == splits[1] == splits[2]


def test_rates_on_different_splits_are_not_compared(datasets: list[Dataset]) -> None:
    moved = replace(datasets[2].clips[0], split="validation" if datasets[2].clips[0].split == "test" else "test")
    other = replace(datasets[2], clips=(moved, *datasets[2].clips[1:]))
    with pytest.raises(TmgcError, match=f"1 clips, {moved.source} for one, are in other splits"):
        check_same_split([*datasets[:2], other])
    with pytest.raises(TmgcError, match="the genres differ"):
        check_same_split([*datasets[:2], replace(datasets[2], genres=("Caz", "Rap"))])
