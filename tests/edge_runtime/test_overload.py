"""What happens when answers take longer than sound: the stalled interpreter lets time pass while it works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import Event, GenreClassifier, Prediction, listen
from edge_runtime.interpreters import Interpreter, ModelInput, open_interpreter
from edge_runtime.listener import CALM_WINDOWS
from edge_runtime.sources.microphone import Microphone
from edge_runtime.windowing import hop_samples
from tests.edge_runtime.fake_portaudio import FakePortAudio, FakeStream

RATE = 22_050
STALEST_SECONDS = 4.0


class Performance:
    """Sound that goes on while an answer is worked out, and whenever the microphone's reader waits for more."""

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
        self.card, self.runtime, self.threads = interpreter.card, interpreter.runtime, interpreter.threads
        self.input, self.output = interpreter.input, interpreter.output
        self._interpreter = interpreter
        self._seconds = iter(seconds)
        self.performance: Performance | None = None

    def invoke(self, taken: ModelInput) -> NDArray[np.float32]:
        assert self.performance
        self.performance.pass_time(next(self._seconds, 0.0))
        return self._interpreter.invoke(taken)


def perform(
    seconds: float, stalls: list[float], portaudio: FakePortAudio, model: Path
) -> tuple[list[Prediction], list[Event], int]:
    """Answers, events, and the number of windows that came."""
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


def test_under_twice_the_load_windows_are_dropped_counted_and_said_and_answers_stay_fresh(
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
    assert len(predictions) > 2 + CALM_WINDOWS
    assert [event.event for event in events] == ["overload", "recovered"]
    assert "4 were in all" in events[1].reason


def test_who_keeps_up_drops_nothing(fake_portaudio: PlugIn, models: dict[str, Path]) -> None:
    predictions, events, came = perform(20, [0.5] * 100, fake_portaudio("live"), models["tflite"])
    assert len(predictions) == came
    assert predictions[-1].dropped_windows == 0
    assert not events
