"""Small songs, datasets and trained runs that a test makes within seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from edge_runtime import SpectrogramSettings
from tests.conftest import tone
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import Dataset
from train.run import Run
from train.training.architectures import Architecture, register_architecture
from train.training.config import Augmentation, TrainingConfig

if TYPE_CHECKING:
    import keras

RATE = 11_025
GENRES = ("Caz", "Halk", "Rock")
SIDE = 32
"""Pixels of an image's side."""


def tiny_backbone(*, input_shape: tuple[int, int, int], weights: str | None) -> keras.Model:
    """Two convolutions with batch normalisation and ReLU, and the mean over the image; 1 700 weights."""
    import keras
    from keras import layers

    hidden = pixels = keras.Input(input_shape)
    for filters in (8, 16):
        hidden = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    hidden = layers.AveragePooling2D((2, SIDE // 4))(hidden)  # over time, so that what is left is pitch
    return keras.Model(pixels, layers.Flatten()(hidden))


register_architecture(Architecture("tiny", tiny_backbone, scale=(1 / 127.5,) * 3, offset=(-1.0,) * 3))


def tiny_front_end(settings: SpectrogramSettings) -> keras.Model:
    """The loudness of 64 filters over a waveform, a hundred times a second."""
    import keras
    from keras import layers

    waveform = keras.Input((settings.window_samples,))
    frames = keras.ops.reshape(
        waveform[:, : 100 * (settings.window_samples // 100)], (-1, 100, settings.window_samples // 100)
    )
    return keras.Model(waveform, keras.ops.abs(layers.Dense(64, use_bias=False, trainable=False)(frames)))


def tiny_waveform_backbone(*, input_shape: tuple[int, ...], weights: str | None) -> keras.Model:
    import keras
    from keras import layers

    frames = keras.Input(input_shape)
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Dense(16)(frames)))
    return keras.Model(frames, keras.ops.mean(hidden, axis=1))


register_architecture(Architecture("tiny_waveform", tiny_waveform_backbone, front_end=tiny_front_end))

TINY_TRAINING = TrainingConfig(
    architecture="tiny",
    weights="none",
    head_epochs=2,
    epochs=2,
    batch_size=12,
    learning_rate=1e-2,
    augmentation=Augmentation(negatives_per_kind=4),
)
"""A training of a second or two."""


def write_songs(
    folder: Path, *, songs: int, genres: tuple[str, ...] = GENRES, seconds: float = 5.0, suffix: str = ".flac"
) -> Path:
    """Write ``folder/<genre>/song <n>``: genres differ in pitch, songs of a genre in pitch and noise."""
    random = np.random.default_rng(0)
    for number, genre in enumerate(genres):
        (folder / genre).mkdir(parents=True)
        for song in range(songs):
            sound = tone(seconds, sample_rate=RATE, hz=300.0 * 2**number + 7 * song, level=0.3)
            sound += 0.02 * random.standard_normal(len(sound), dtype=np.float32)
            soundfile.write(folder / genre / f"song {song}{suffix}", sound, RATE)
    return folder


def tiny_dataset(songs: Path, run: Path, *, colormap: str = "magma") -> Dataset:
    """Prepare songs of :func:`write_songs` as images of 32 x 32 pixels, two clips a song."""
    settings = DatasetConfig(
        offsets_seconds=(0.5, 2.5),
        spectrogram=SpectrogramSettings(sample_rate=RATE, image_height=SIDE, image_width=SIDE),
        colormap=colormap,
    )
    dataset, _ = prepare(songs, Run(run), settings, workers=1)
    return dataset


def tiny_trained_run(folder: Path, *, architecture: str = "tiny") -> Run:
    """Write songs below a folder, and train a tiny network for long enough to learn them."""
    from train.training import fit

    dataset = tiny_dataset(write_songs(folder / "songs", songs=8), folder / "tiny")
    config = replace(
        TINY_TRAINING,
        architecture=architecture,
        head_epochs=4,
        epochs=15,
        patience=15,
        augmentation=Augmentation.only(("spec_augment",)),
    )
    fit(dataset, config)
    return dataset.run


def square(side: int) -> SpectrogramSettings:
    """Settings of square images."""
    return SpectrogramSettings(image_height=side, image_width=side)


TARGET_TAGS = ("embedding 0", "jazz", "folk", "rock", "hard rock", "sad")


def random_pretraining(folder: Path, settings: SpectrogramSettings, *, colormap: str = "magma") -> Run:
    """A pretraining whose network is random, with the names of some of the teacher's tags for its outputs."""
    from train.dataset.build import named_colormap
    from train.pretraining.pretrain import SCHEMA
    from train.training.model import build_target_network

    run, random, colours = Run(folder), np.random.default_rng(3), named_colormap(colormap)
    folder.mkdir(parents=True)
    network = build_target_network(
        "tiny", settings, n_targets=len(TARGET_TAGS), channels=colours.shape[1], weights="none"
    )
    network.save(run.model)
    np.save(run.validation_outputs, random.normal(size=(40, len(TARGET_TAGS))).astype(np.float16))
    document = {
        "schema": SCHEMA,
        "settings": {"architecture": "tiny", "spectrogram": settings.to_json()},
        "colormap": colours.tolist(),
        "teacher": "musicnn",
        "licence": "Name the authors.",
        "target_names": TARGET_TAGS,
        "target_mean": random.normal(-3.0, 1.0, len(TARGET_TAGS)).tolist(),
        "target_deviation": random.uniform(0.5, 2.0, len(TARGET_TAGS)).tolist(),
    }
    run.pretraining_json.write_text(json.dumps(document), "utf-8")
    return run
