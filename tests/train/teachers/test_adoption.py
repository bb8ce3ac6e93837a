from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from edge_runtime.audio_file import AudioFile
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings
from edge_runtime.windowing import cut_windows
from tests.factories import TARGET_TAGS, random_pretraining
from train.libraries import load_keras_model
from train.pretraining.pretrain import read_pretraining
from train.run import Run
from train.teachers.adoption import adopt
from train.teachers.genre_mapping import WORLD, GenreMapping
from train.teachers.musicnn import MSD_TAGS, Musicnn
from train.teachers.tagger import musicnn_tagger, pretrained_tagger
from train.training.model import BACKBONE, build_network

SETTINGS = SpectrogramSettings(sample_rate=8000, window_seconds=0.5, n_fft=256, image_height=32, image_width=32)


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return random_pretraining(tmp_path_factory.mktemp("pretraining") / "run", SETTINGS)


def test_a_pretrained_network_names_the_genre_whose_tags_are_most_unusual(pretraining: Run, tmp_path: Path) -> None:
    tagger = pretrained_tagger(pretraining)
    mapping = WORLD.within(tagger.tags)
    card = adopt(Run(tmp_path / "small"), tagger, mapping)
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    found = np.asarray(load_keras_model(tmp_path / "small" / "model.keras")(images, training=False))

    facts = read_pretraining(pretraining)

    def genre_scores(scaled: NDArray[np.floating]) -> NDArray[np.float64]:
        logits = scaled * np.array(facts["target_deviation"]) + np.array(facts["target_mean"])
        own = [[TARGET_TAGS.index(tag) for tag in tags] for tags in mapping.tags_of.values()]
        return np.stack([logits[:, columns].max(axis=1) for columns in own], axis=1)

    scores = genre_scores(np.asarray(load_keras_model(pretraining.model)(images, training=False)))
    usual = genre_scores(np.load(pretraining.validation_outputs))
    np.testing.assert_allclose(found, softmax(scores - usual.mean(axis=0), axis=1), atol=1e-5)
    assert card.genres == ("Caz", "Halk", "Rock")
    assert card.network["prior"]["Caz"] == pytest.approx(usual.mean(axis=0)[0], abs=1e-4)
    assert card.network["licence"] == "Name the authors."
    assert card.input_kind == "image"
    assert Run(tmp_path / "small").card() == card


def test_a_network_of_one_channel_is_adopted_as_it_is(tmp_path: Path) -> None:
    tagger = pretrained_tagger(random_pretraining(tmp_path / "gray", SETTINGS, colormap="gray"))
    card = adopt(Run(tmp_path / "small"), tagger, WORLD.within(tagger.tags))
    assert card.input_shape == (32, 32, 1)
    assert load_keras_model(tmp_path / "small" / "model.keras").input_shape == (None, 32, 32, 1)


def test_the_threshold_of_a_pretrained_network_keeps_nine_tenths_of_music(pretraining: Run, tmp_path: Path) -> None:
    tagger = pretrained_tagger(pretraining)
    mapping = WORLD.within(tagger.tags)
    card = adopt(Run(tmp_path / "small"), tagger, mapping)
    assert tagger.music is not None
    scores = mapping.scores(tagger.music, tagger.tags)
    confidences = softmax(scores - scores.mean(axis=0), axis=1).max(axis=1)
    assert 0 < card.threshold < 1
    assert np.mean(confidences >= card.threshold) >= 0.9
    assert "at most a tenth" in card.network["threshold"]


def test_a_training_can_begin_with_the_backbone_of_an_adopted_network(pretraining: Run, tmp_path: Path) -> None:
    tagger = pretrained_tagger(pretraining)
    run = Run(tmp_path / "small")
    adopt(run, tagger, WORLD.within(tagger.tags))
    begun = build_network("tiny", SETTINGS, n_genres=2, weights=str(run.model)).get_layer(BACKBONE)
    for weight, expected in zip(begun.get_weights(), tagger.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_folder_that_holds_something_is_left_alone(pretraining: Run, tmp_path: Path) -> None:
    tagger = pretrained_tagger(pretraining)
    (tmp_path / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(TmgcError, match=r"new or empty folder is needed: .* holds notes.txt"):
        adopt(Run(tmp_path), tagger, WORLD.within(tagger.tags))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_tag_that_the_network_does_not_know_is_refused(pretraining: Run, tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="Did you mean jazz"):
        adopt(Run(tmp_path / "run"), pretrained_tagger(pretraining), GenreMapping({"A": ("jaz",), "B": ("rock",)}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["outputs of another width", "no outputs", "no settings", "no layer of targets"])
def test_a_damaged_pretraining_is_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    run = random_pretraining(tmp_path / "run", SETTINGS)
    if damage == "outputs of another width":
        np.save(run.validation_outputs, np.zeros((4, 2), np.float16))
    elif damage == "no outputs":
        run.validation_outputs.unlink()
    elif damage == "no settings":
        run.pretraining_json.write_text(run.pretraining_json.read_text("utf-8").replace("settings", "other"), "utf-8")
    else:
        import keras

        pixels = keras.Input((32, 32, 3), dtype="uint8")
        keras.Model(pixels, keras.layers.Flatten()(pixels)).save(run.model)
    with pytest.raises(TmgcError, match="must hold a finished pretraining") as refused:
        pretrained_tagger(run)
    assert "\n" not in str(refused.value)


@pytest.fixture
def cached(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel, where it is looked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(wheel.parents[1]))
    return wheel


@pytest.mark.usefixtures("cached")
def test_musicnn_is_adopted_with_the_logits_of_the_networks_that_know_the_tags(
    musicnn: Musicnn, tmp_path: Path
) -> None:
    mapping = GenreMapping({"Caz": ("jazz",), "Klasik": ("mtt:classical", "mtt:opera"), "Rock": ("rock", "hard rock")})
    card = adopt(Run(tmp_path / "both"), musicnn_tagger(mapping), mapping)
    windows = np.random.default_rng(0).normal(0.0, 0.1, (2, 32_000)).astype(np.float32)
    targets = dict(zip(musicnn.target_names, musicnn.targets(windows).T, strict=True))
    caz, rock, hard, classical, opera = (
        targets[tag] for tag in ("jazz", "rock", "hard rock", "mtt:classical", "mtt:opera")
    )
    scores = np.stack([caz, np.maximum(classical, opera), np.maximum(rock, hard)], axis=1)
    found = np.asarray(load_keras_model(tmp_path / "both" / "model.keras")(windows, training=False))
    np.testing.assert_allclose(found, softmax(scores, axis=1), atol=1e-4)
    assert (card.input_kind, card.threshold, card.spectrogram.sample_rate) == ("waveform", 0.0, 16_000)
    assert "Universitat Pompeu Fabra" in card.network["licence"]
    assert Run(tmp_path / "both").card() == card


@pytest.mark.usefixtures("cached")
def test_one_network_of_musicnn_is_enough_where_the_other_is_not_asked_for() -> None:
    mapping = GenreMapping({"Caz": ("jazz",), "Rock": ("rock",)})
    assert musicnn_tagger(mapping).tags == MSD_TAGS


@pytest.mark.full
@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize(
    ("recording", "genre"),
    [("jazz_vibe_ace.ogg", "Caz"), ("classical_hungarian_dance.ogg", "Klasik"), ("electronic_cc0.ogg", "Elektronik")],
)
def test_real_recordings_are_called_what_they_are(
    recording: str, genre: str, recordings: list[Path], tmp_path: Path
) -> None:
    (path,) = (path for path in recordings if path.name == recording)
    card = adopt(Run(tmp_path / "world"), musicnn_tagger(WORLD), WORLD)
    with AudioFile(path, sample_rate=16_000) as file:
        windows = [window.samples.copy() for window in cut_windows(file.blocks(), card.spectrogram, hop_seconds=2.0)]
    probabilities = np.asarray(load_keras_model(tmp_path / "world" / "model.keras")(np.stack(windows), training=False))
    assert card.genres[int(probabilities.mean(axis=0).argmax())] == genre
