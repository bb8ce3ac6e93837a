"""A stream becomes answers: by window, smoothed, and as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import GenreClassifier, ListenSettings, TmgcError, listen
from tests.conftest import tone

RATE = 22_050


class Sound:
    """A source of samples that are already there."""

    name = "sound"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self._samples = samples

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self._samples), 1000):
            yield self._samples[start : start + 1000]


@pytest.fixture(scope="module")
def classifier(models: dict[str, Path]) -> GenreClassifier:
    return GenreClassifier.open(models["tflite"], threads=1)


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


def test_every_window_is_answered_with_its_place_and_all_probabilities(classifier: GenreClassifier) -> None:
    sound = noise(6)
    predictions = list(listen(Sound(sound), classifier, ListenSettings(hop_seconds=2.0)))
    assert [(prediction.start_seconds, prediction.end_seconds) for prediction in predictions] == [
        (0, 2),
        (2, 4),
        (4, 6),
    ]
    for number, prediction in enumerate(predictions):
        expected = classifier.classify(sound[number * 44_100 : (number + 1) * 44_100]).probabilities
        assert list(prediction.probabilities) == list(classifier.card.genres)
        np.testing.assert_array_equal(list(prediction.probabilities.values()), expected)
        assert prediction.genre == classifier.card.genres[int(expected.argmax())]
        assert prediction.confidence == pytest.approx(expected.max())
        assert prediction.source == "sound"
        assert prediction.delay_ms >= prediction.spectrogram_ms + prediction.model_ms


def test_overlapping_windows_are_answered_as_if_each_were_alone(classifier: GenreClassifier) -> None:
    sound = noise(6) * np.linspace(0.1, 1, 6 * RATE, dtype=np.float32)
    predictions = list(listen(Sound(sound), classifier, ListenSettings(hop_seconds=0.5)))
    assert len(predictions) == 9
    for prediction in predictions:
        start = round(prediction.start_seconds * RATE)
        expected = classifier.classify(sound[start : start + 2 * RATE]).probabilities
        np.testing.assert_allclose(list(prediction.probabilities.values()), expected, atol=1e-3)


def test_silence_has_no_genre(classifier: GenreClassifier) -> None:
    sound = np.concatenate([noise(2), np.zeros(2 * RATE, np.float32), noise(2)])
    genres = [prediction.genre for prediction in listen(Sound(sound), classifier, ListenSettings(hop_seconds=2.0))]
    assert genres[1] == "silence"
    assert "silence" not in (genres[0], genres[2])


@pytest.mark.parametrize(("level", "silence"), [(-40.0, False), (-60.0, True)])
def test_the_level_below_which_it_is_silent_is_minus_50_dbfs(
    classifier: GenreClassifier, level: float, silence: bool
) -> None:
    quiet = tone(2, sample_rate=RATE, level=float(np.sqrt(2) * 10 ** (level / 20)))
    (prediction,) = listen(Sound(quiet), classifier)
    assert prediction.level_dbfs == pytest.approx(level, abs=0.1)
    assert (prediction.genre == "silence") is silence
    assert bool(prediction.probabilities) is not silence


def test_an_answer_below_the_threshold_is_unknown(classifier: GenreClassifier) -> None:
    (sure,) = listen(Sound(noise(2)), classifier)
    (unsure,) = listen(Sound(noise(2)), classifier, ListenSettings(threshold=min(1.0, sure.confidence + 0.01)))
    assert (unsure.genre, unsure.smoothed_genre) == ("unknown", "unknown")
    assert unsure.confidence == pytest.approx(sure.confidence)


def test_smoothing_averages_the_last_windows(classifier: GenreClassifier) -> None:
    sound = np.concatenate([noise(2), tone(2, sample_rate=RATE), tone(4, sample_rate=RATE, hz=3000)])
    predictions = list(listen(Sound(sound), classifier, ListenSettings(hop_seconds=2.0, smooth=2)))
    raw = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    assert predictions[0].smoothed_confidence == pytest.approx(raw[0].max())
    for number in (1, 2, 3):
        mean = raw[number - 1 : number + 1].mean(axis=0)
        assert predictions[number].smoothed_confidence == pytest.approx(mean.max(), abs=1e-6)
        assert predictions[number].smoothed_genre == classifier.card.genres[int(mean.argmax())]


@pytest.mark.parametrize("wrong", [{"smooth": 0}, {"threshold": 1.2}, {"threshold": -0.1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TmgcError):
        ListenSettings(**wrong)  # type: ignore[arg-type]
