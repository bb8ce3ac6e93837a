"""One run of ``tmgc-listen``: a source to the outputs, until it ends or the end is requested."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio_file import AudioFile, source_name
from edge_runtime.classifier import GenreClassifier
from edge_runtime.decoding.pcm import PcmFormat
from edge_runtime.errors import TmgcError, UntrustedModelError
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.outputs import Output
from edge_runtime.predictions import Event, Summarizer, Summary
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources import WatchedSource
from edge_runtime.sources.microphone import Microphone, check_wait
from edge_runtime.sources.paced import PacedSource
from edge_runtime.sources.stdin import StandardInput
from edge_runtime.windowing import OnFrames

log = logging.getLogger("tmgc.listen")

NOTHING_CLASSIFIED = 1
"""Exit code where all was silence, or where the device was lost and ``exit_on_loss`` set."""

REFUSED = 2
"""Exit code where a file was refused."""

PROBLEMS = ("device lost", "overload", "invalid answer")
"""Events that are logged as warnings; the others end one of these."""


@dataclass(frozen=True)
class MicrophoneSettings:
    """The microphone, and what happens without it."""

    device: str | None = None
    """Number, name or a part of the name; None is the system's default."""
    wait_seconds: float = 0.0
    """How long to wait for the device at the start, seconds."""
    exit_on_loss: bool = False
    """End when the device is lost, instead of searching for it."""

    def __post_init__(self) -> None:
        check_wait(self.wait_seconds)


@dataclass(frozen=True)
class Session:
    """A classifier and its outputs; each method classifies one kind of source and returns the exit code."""

    classifier: GenreClassifier
    settings: ListenSettings
    outputs: Sequence[Output]
    stop: Shutdown

    def classify_files(self, paths: Sequence[str | Path], *, speed: float = math.inf) -> int:
        """Classify one file after another; a file that is refused does not stop the others.

        Parameters
        ----------
        paths : sequence of str or Path
            Files, named pipes, or addresses such as ``https://...``.
        speed : float > 0
            Seconds of audio per second; infinite is as fast as possible.
        """
        codes = [0]
        for path in paths:
            codes.append(self._classify_file(path, speed))
            if self.stop.signal is not None:  # the convention of shells for a command ended by a signal
                return 128 + self.stop.signal
        return max(codes)

    def classify_standard_input(self, raw: PcmFormat | None) -> int:
        """Classify what another program pipes in, until it ends or the end is requested.

        Parameters
        ----------
        raw : PcmFormat or None
            Format of raw samples; None expects WAVs, or what ffmpeg decodes.

        Raises
        ------
        TmgcError
            It cannot be decoded, or is shorter than a window.
        """
        source = StandardInput(0, sample_rate=self._rate, stop=self.stop, raw=raw)
        try:
            summary = self._classify(source)
        except TmgcError:
            if not self.stop.requested:  # in the middle of a header
                raise
            return 0
        if not summary.windows and not self.stop.requested:
            raise TmgcError(
                f"standard input must hold at least one window of {self._window_seconds} s: it ended before"
            )
        self._summarise(summary)
        return 0 if summary.probabilities or self.stop.requested else NOTHING_CLASSIFIED

    def classify_microphone(self, settings: MicrophoneSettings) -> int:
        """Classify what a microphone records, until the end is requested.

        Parameters
        ----------
        settings : MicrophoneSettings

        Raises
        ------
        TmgcError
            No device matches, or it does not open.
        """
        if settings.wait_seconds > 0:
            limit = "" if math.isinf(settings.wait_seconds) else f" up to {settings.wait_seconds:g} s"
            log.info("waiting%s for a microphone if it is not there yet", limit)
        with Microphone(
            settings.device,
            sample_rate=self._rate,
            stop=self.stop,
            notify=self._report,
            wait_seconds=settings.wait_seconds,
            exit_on_loss=settings.exit_on_loss,
        ) as microphone:
            log.info("listening to %s; Ctrl-C ends it", microphone.name)
            self._summarise(self._classify(microphone))
        return 0 if self.stop.requested else NOTHING_CLASSIFIED

    @property
    def _rate(self) -> int:
        return self.classifier.card.spectrogram.sample_rate

    @property
    def _window_seconds(self) -> float:
        return self.classifier.card.spectrogram.window_seconds

    def _classify_file(self, path: str | Path, speed: float) -> int:
        try:
            with AudioFile(path, sample_rate=self._rate, stop=self.stop) as file:
                summary = self._classify(PacedSource(file, sample_rate=self._rate, stop=self.stop, speed=speed))
            if not summary.windows and not self.stop.requested:
                raise TmgcError(
                    f"a file must hold at least one window of {self._window_seconds} s: {file.name} holds "
                    f"{file.read_seconds:.2f} s. Choose a longer one"
                )
        except UntrustedModelError:
            raise
        except TmgcError as error:
            log.error("%s", error)
            self._send(Event(datetime.now(UTC), source_name(path), "file refused", str(error)))
            return REFUSED
        self._summarise(summary)
        return 0 if summary.probabilities else NOTHING_CLASSIFIED

    def _classify(self, source: WatchedSource) -> Summary:
        card = self.classifier.card
        threshold = self.settings.threshold_for(card)
        summarizer = Summarizer(source.name, threshold=threshold, pooling=card.pooling)
        warned = 0
        idle_before = source.idle_seconds  # a pipe or an address is waited for when it is opened
        predictions = listen(
            source, self.classifier, self.settings, notify=self._report, on_frames=self._frame_receiver()
        )
        for prediction in predictions:
            summarizer.add(prediction)
            for output in self.outputs:
                output.window(prediction)
            warned = _log_new(source.warnings, warned)
            if self.stop.requested:
                break
        _log_new(source.warnings, warned)
        summary = summarizer.summary(overflows=source.overflows, idle_seconds=source.idle_seconds - idle_before)
        if not summary.windows and self.classifier.health.invalid_in_a_row:
            raise UntrustedModelError(f"no answer about {source.name} was finite. See: tmgc-listen doctor")
        return summary

    def _frame_receiver(self) -> OnFrames | None:
        receivers = [output.frames for output in self.outputs if output.wants_frames]
        if not receivers:
            return None

        def send(power: NDArray[np.float32], end_seconds: float) -> None:
            for receive in receivers:
                receive(power, end_seconds)

        return send

    def _report(self, event: Event) -> None:
        level = logging.WARNING if event.event in PROBLEMS else logging.INFO
        log.log(level, "%s: %s: %s", event.source, event.event, event.reason)
        self._send(event)

    def _send(self, event: Event) -> None:
        for output in self.outputs:
            output.event(event)

    def _summarise(self, summary: Summary) -> None:
        for output in self.outputs:
            output.summary(summary)


def _log_new(warnings: Sequence[str], logged: int) -> int:
    for warning in warnings[logged:]:
        log.warning("%s", warning)
    return len(warnings)
