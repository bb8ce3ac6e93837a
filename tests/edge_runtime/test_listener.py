"""A stream becomes predictions: by window, smoothed, summarised, and dropped under overload."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import AudioFile, Event, GenreClassifier, ListenSettings, Prediction, TmgcError, listen
from edge_runtime.errors import UntrustedModelError
from edge_runtime.interpreters import Interpreter, ModelInput, open_interpreter
from edge_runtime.listener import RECOVERY_WINDOWS
from edge_runtime.pooling import pool
from edge_runtime.sources.microphone import Microphone
from edge_runtime.windowing import hop_samples
from tests.conftest import tone
from tests.edge_runtime.fake_portaudio import FakePortAudio, FakeStream

RATE = 22_050


class Sound:
    """A source of samples that are already there."""

    name = "sound"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, *parts: NDArray[np.float32]) -> None:
        self._parts = parts

    def blocks(self) -> Iterator[NDArray[np.float32] | None]:
        """The parts in blocks, with a gap between two of them."""
        for number, samples in enumerate(self._parts):
            if number:
                yield None
            for start in range(0, len(samples), 1000):
                yield samples[start : start + 1000]


@pytest.fixture(scope="module")
def classifier(models: dict[str, Path]) -> GenreClassifier:
    return GenreClassifier.open(models["tflite"], threads=1)


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


def test_every_window_has_a_prediction_with_its_position_and_all_probabilities(classifier: GenreClassifier) -> None:
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
        assert prediction.delay_ms >= prediction.latency_ms


def test_overlapping_windows_are_classified_as_if_each_were_alone(classifier: GenreClassifier) -> None:
    sound = noise(6) * np.linspace(0.1, 1, 6 * RATE, dtype=np.float32)
    predictions = list(listen(Sound(sound), classifier, ListenSettings(hop_seconds=0.5)))
    assert len(predictions) == 9
    for prediction in predictions:
        start = round(prediction.start_seconds * RATE)
        expected = classifier.classify(sound[start : start + 2 * RATE]).probabilities
        np.testing.assert_allclose(list(prediction.probabilities.values()), expected, atol=1e-3)


@pytest.mark.parametrize("hop_seconds", [0.5, 2.0])
@pytest.mark.parametrize("offset", [-0.3, 0.03])
def test_the_predictions_of_a_file_with_an_offset_are_those_without(
    hop_seconds: float, offset: float, classifier: GenreClassifier, tmp_path: Path
) -> None:
    sound = noise(6) * np.repeat(np.linspace(0.002, 0.02, 6, dtype=np.float32), RATE)
    sound[-2 * RATE :] *= 0.01
    both = []
    for name, samples in (("sound", sound), ("offset", sound + offset)):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
        with AudioFile(tmp_path / f"{name}.wav", sample_rate=RATE) as file:
            both.append(list(listen(file, classifier, ListenSettings(hop_seconds=hop_seconds, silence_dbfs=-70.0))))
    for expected, found in zip(*both, strict=True):
        assert found.genre == expected.genre
        assert found.level_dbfs == pytest.approx(expected.level_dbfs, abs=0.05)
        assert found.probabilities == pytest.approx(expected.probabilities, abs=2e-3)
    assert both[1][-1].genre == "silence"


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


def test_a_prediction_below_the_threshold_is_unknown(classifier: GenreClassifier) -> None:
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


def with_card(classifier: GenreClassifier, **fields: Any) -> GenreClassifier:
    """The same model with other fields in its card."""
    interpreter = copy(classifier.interpreter)
    interpreter.card = classifier.card.replace(**fields)
    return GenreClassifier(interpreter)


@pytest.mark.parametrize(("seconds", "hop", "windows"), [(6.0, 1.0, 5), (6.0, 2.0, 3), (2.0, 1.0, 1), (0.5, 1.0, 1)])
def test_the_smoothing_covers_the_seconds_of_the_card(
    seconds: float, hop: float, windows: int, classifier: GenreClassifier
) -> None:
    card = classifier.card.replace(smoothing_seconds=seconds)
    assert ListenSettings(hop_seconds=hop).smooth_for(card) == windows
    assert ListenSettings(hop_seconds=hop, smooth=7).smooth_for(card) == 7


def test_the_smoothing_pools_as_the_card_says(classifier: GenreClassifier) -> None:
    sound = np.concatenate([noise(2), tone(2, sample_rate=RATE), tone(4, sample_rate=RATE, hz=3000)])
    settings = ListenSettings(hop_seconds=2.0, smooth=3)
    predictions = list(listen(Sound(sound), with_card(classifier, pooling="log_mean"), settings))
    raw = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    assert predictions[2].smoothed_confidence == pytest.approx(pool(raw[:3], "log_mean").max(), abs=1e-6)
    assert predictions[3].smoothed_confidence == pytest.approx(pool(raw[1:], "log_mean").max(), abs=1e-6)


@pytest.mark.parametrize("hop", [0.5, 2.0])
def test_smoothing_begins_anew_after_a_gap(classifier: GenreClassifier, hop: float) -> None:
    before, after = noise(6), tone(4, sample_rate=RATE, hz=3000)
    settings = ListenSettings(hop_seconds=hop)
    alone = list(listen(Sound(after), classifier, settings))
    joined = list(listen(Sound(before, after), classifier, settings))
    for expected, found in zip(alone, joined[-len(alone) :], strict=True):
        assert found.smoothed_genre == expected.smoothed_genre
        assert found.smoothed_confidence == pytest.approx(expected.smoothed_confidence, abs=1e-6)


def test_smoothing_begins_anew_after_a_gap_whose_first_window_is_dropped(classifier: GenreClassifier) -> None:
    class Late(Sound):
        """Is behind at its fourth window, the first after the gap."""

        asked = 0

        @property
        def waiting_seconds(self) -> float:  # type: ignore[override]
            self.asked += 1
            return 5.0 if self.asked == 4 else 0.0

    settings = ListenSettings(hop_seconds=2.0)
    after = tone(4, sample_rate=RATE, hz=3000)
    predictions = list(listen(Late(noise(6), after), classifier, settings))
    assert len(predictions) == 4
    assert predictions[-1].dropped_windows == 1
    assert predictions[-1].smoothed_confidence == predictions[-1].confidence


@pytest.mark.parametrize("wrong", [{"smooth": 0}, {"threshold": 1.2}, {"threshold": -0.1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TmgcError):
        ListenSettings(**wrong)  # type: ignore[arg-type]


STALEST_SECONDS = 4.0


class InvalidInterpreter:
    """An interpreter whose answers to windows of these numbers are not finite."""

    def __init__(self, interpreter: Interpreter, numbers: set[int]) -> None:
        self.card, self.input, self.output = interpreter.card, interpreter.input, interpreter.output
        self.path, self.runtime, self.threads = interpreter.path, interpreter.runtime, interpreter.threads
        self._interpreter, self._numbers, self._count = interpreter, numbers, 0

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        self._count += 1
        invalid = self._count - 1 in self._numbers
        return self._interpreter.invoke(model_input) * np.float32(np.nan if invalid else 1)


def test_an_answer_that_is_not_finite_is_an_event_and_no_prediction(classifier: GenreClassifier) -> None:
    broken = GenreClassifier(InvalidInterpreter(classifier.interpreter, {1, 2, 4}))
    events = list[Event]()
    settings = ListenSettings(hop_seconds=2.0)
    predictions = list(listen(Sound(noise(12)), broken, settings, notify=events.append))
    expected = list(listen(Sound(noise(12)), classifier, settings))
    assert [prediction.start_seconds for prediction in predictions] == [0, 6, 10]
    assert [each.probabilities for each in predictions] == [expected[index].probabilities for index in (0, 3, 5)]
    assert predictions[1].smoothed_confidence == predictions[1].confidence, "smoothing begins anew"
    assert [event.event for event in events] == ["invalid answer"] * 3
    assert "3 of 3" in events[0].reason


def test_three_answers_in_a_row_that_are_not_finite_end_the_listening(classifier: GenreClassifier) -> None:
    broken = GenreClassifier(InvalidInterpreter(classifier.interpreter, {1, 2, 3}))
    predictions = listen(Sound(noise(20)), broken, ListenSettings(hop_seconds=2.0))
    assert next(predictions).probabilities
    with pytest.raises(UntrustedModelError, match="3 answers in a row were not finite"):
        next(predictions)


class Performance:
    """Sound that continues while a prediction is computed, and whenever the microphone's reader waits."""

    def __init__(self, seconds: float, stream: FakeStream) -> None:
        sound = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * RATE))
        self.sound = sound.astype(np.float32)
        self._stream = stream
        self._at = 0
        self._one_at_a_time = threading.Lock()

    def pass_time(self, seconds: float, *, unless: Callable[[], bool] = lambda: False) -> None:
        with self._one_at_a_time:
            until = self._at + round(seconds * RATE)
            while self._at < min(until, len(self.sound)) and not unless():
                block = self.sound[self._at : min(until, self._at + 512)]
                self._at += len(block)
                self._stream.play(block)
            if self._at >= len(self.sound):
                self._stream.active = False

    def go_on(self, microphone: Microphone) -> None:
        while self._stream.active:
            self.pass_time(0.02, unless=lambda: microphone.waiting_seconds > 0)
            sleep(1e-4)


class StalledInterpreter:
    """A real interpreter that takes the seconds of the list, and none after its end."""

    def __init__(self, interpreter: Interpreter, seconds: list[float]) -> None:
        self.path, self.card = interpreter.path, interpreter.card
        self.runtime, self.threads = interpreter.runtime, interpreter.threads
        self.input, self.output = interpreter.input, interpreter.output
        self._interpreter = interpreter
        self._seconds = iter(seconds)
        self.performance: Performance | None = None

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        assert self.performance
        self.performance.pass_time(next(self._seconds, 0.0))
        return self._interpreter.invoke(model_input)


def perform(
    seconds: float, stalls: list[float], portaudio: FakePortAudio, model: Path
) -> tuple[list[Prediction], list[Event], int]:
    """Predictions, events, and the number of windows that arrived."""
    stalled = StalledInterpreter(open_interpreter(model, threads=1), stalls)
    classifier = GenreClassifier(stalled)
    events: list[Event] = []
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        stalled.performance = Performance(seconds, portaudio.streams[-1])
        player = threading.Thread(target=stalled.performance.go_on, args=(microphone,))
        player.start()
        predictions = list(listen(microphone, classifier, notify=events.append))
        player.join()
        assert microphone.overflows == 0
    settings = classifier.card.spectrogram
    came = 1 + (len(stalled.performance.sound) - settings.window_samples) // hop_samples(settings, 1.0)
    return predictions, events, came


PlugIn = Callable[..., FakePortAudio]


def test_under_twice_the_load_windows_are_dropped_and_counted_and_predictions_stay_fresh(
    fake_portaudio: PlugIn, models: dict[str, Path]
) -> None:
    predictions, events, came = perform(60, [2.0] * 100, fake_portaudio("live"), models["tflite"])
    assert len(predictions) + predictions[-1].dropped_windows == came
    assert len(predictions) == pytest.approx(came / 2, abs=2)
    assert max(prediction.delay_ms / 1e3 + 2.0 for prediction in predictions) < STALEST_SECONDS
    assert [event.event for event in events] == ["overload"]


def test_a_stall_drops_the_oldest_windows_and_is_over_after_a_while(
    fake_portaudio: PlugIn, models: dict[str, Path]
) -> None:
    predictions, events, came = perform(50, [0.0, 5.0], fake_portaudio("live"), models["tflite"])
    hop_seconds = predictions[1].start_seconds - predictions[0].start_seconds
    numbers = [round(prediction.start_seconds / hop_seconds) for prediction in predictions]
    assert numbers == [0, 1, *range(6, came)]
    assert predictions[-1].dropped_windows == 4
    assert len(predictions) > 2 + RECOVERY_WINDOWS
    assert [event.event for event in events] == ["overload", "recovered"]
    assert "4 in all" in events[1].reason


def test_who_keeps_up_drops_nothing(fake_portaudio: PlugIn, models: dict[str, Path]) -> None:
    predictions, events, came = perform(20, [0.5] * 100, fake_portaudio("live"), models["tflite"])
    assert len(predictions) == came
    assert predictions[-1].dropped_windows == 0
    assert not events
