"""One run of the listening command: its sources into its outputs, until they end or somebody asks it to stop."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.audio import AudioFile
from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.outputs import Output
from edge_runtime.predictions import Event, Summarizer, Summary
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources import WatchedSource
from edge_runtime.sources.file import PacedSource
from edge_runtime.sources.microphone import Microphone
from edge_runtime.sources.stdin import PcmFormat, StandardInput

log = logging.getLogger("tmgc.listen")

NOT_ALL_HEARD = 1
"""The exit code where nothing but silence was heard, or a device was lost that should not be waited for."""

REFUSED = 2
"""The exit code where a file was refused."""

PROBLEMS = ("device lost", "overload")
"""Events that are logged as warnings; the others tell that all is well again."""


@dataclass(frozen=True)
class MicrophoneSettings:
    """Which microphone is heard, and what happens without it."""

    device: str | None = None
    """Number, name or a part of the name; None is the system's default."""
    wait_seconds: float = 0.0
    """How long the device may take to be there at first."""
    exit_on_loss: bool = False
    """End where the device is lost, instead of looking for it."""


@dataclass(frozen=True)
class Session:
    """What hears, and where its answers go. Each method hears one kind of source and gives the exit code."""

    classifier: GenreClassifier
    settings: ListenSettings
    outputs: Sequence[Output]
    stop: Shutdown

    def hear_files(self, paths: Sequence[Path], *, speed: float = math.inf) -> int:
        """Hear one file after another; a bad one does not stop the others.

        Parameters
        ----------
        paths : sequence of Path
        speed : float > 0
            Seconds of sound in a second.
        """
        codes = [0]
        for path in paths:
            codes.append(self._hear_file(path, speed))
            if self.stop.signal is not None:  # shells tell an unfinished command by its signal
                return 128 + self.stop.signal
        return max(codes)

    def hear_standard_input(self, raw: PcmFormat | None) -> int:
        """Hear what another program pipes in, to its end; being stopped is an end as good as any."""
        source = StandardInput(0, sample_rate=self._rate, stop=self.stop, raw=raw)
        try:
            summary = self._hear(source)
        except TmgcError:
            if not self.stop.requested:  # in the middle of a header
                raise
            return 0
        if not summary.windows and not self.stop.requested:
            raise TmgcError(
                f"standard input must hold at least one window of {self._window_seconds} s: it ended before"
            )
        self._summarise(summary)
        return 0 if summary.probabilities or self.stop.requested else NOT_ALL_HEARD

    def hear_microphone(self, settings: MicrophoneSettings) -> int:
        """Hear a microphone until somebody asks to stop."""
        if settings.wait_seconds > 0:
            limit = "" if math.isinf(settings.wait_seconds) else f" up to {settings.wait_seconds:g} s"
            log.info("waiting%s for a microphone where it is not there yet", limit)
        with Microphone(
            settings.device,
            sample_rate=self._rate,
            stop=self.stop,
            notify=self._tell,
            wait_seconds=settings.wait_seconds,
            exit_on_loss=settings.exit_on_loss,
        ) as microphone:
            log.info("listening to %s; Ctrl-C ends it", microphone.name)
            self._summarise(self._hear(microphone))
        return 0 if self.stop.requested else NOT_ALL_HEARD

    @property
    def _rate(self) -> int:
        return self.classifier.card.spectrogram.sample_rate

    @property
    def _window_seconds(self) -> float:
        return self.classifier.card.spectrogram.window_seconds

    def _hear_file(self, path: Path, speed: float) -> int:
        try:
            with AudioFile(path, sample_rate=self._rate) as file:
                summary = self._hear(PacedSource(file, sample_rate=self._rate, stop=self.stop, speed=speed))
            if not summary.windows and not self.stop.requested:
                raise TmgcError(
                    f"a file must hold at least one window of {self._window_seconds} s: {path} holds "
                    f"{file.read_seconds:.2f} s. Give a longer one"
                )
        except TmgcError as error:
            log.error("%s", error)
            self._send(Event(datetime.now(UTC), str(path), "file refused", str(error)))
            return REFUSED
        self._summarise(summary)
        return 0 if summary.probabilities else NOT_ALL_HEARD

    def _hear(self, source: WatchedSource) -> Summary:
        threshold = self.settings.threshold_for(self.classifier.card)
        summarizer = Summarizer(source.name, threshold=threshold)
        warned = 0
        for prediction in listen(source, self.classifier, self.settings, notify=self._tell):
            summarizer.add(prediction)
            for output in self.outputs:
                output.window(prediction)
            warned = _say_new(source.warnings, warned)
            if self.stop.requested:
                break
        _say_new(source.warnings, warned)
        return summarizer.summary(overflows=source.overflows, idle_seconds=source.idle_seconds)

    def _tell(self, event: Event) -> None:
        level = logging.WARNING if event.event in PROBLEMS else logging.INFO
        log.log(level, "%s: %s: %s", event.source, event.event, event.reason)
        self._send(event)

    def _send(self, event: Event) -> None:
        for output in self.outputs:
            output.event(event)

    def _summarise(self, summary: Summary) -> None:
        for output in self.outputs:
            output.summary(summary)


def _say_new(warnings: Sequence[str], warned: int) -> int:
    for warning in warnings[warned:]:
        log.warning("%s", warning)
    return len(warnings)
