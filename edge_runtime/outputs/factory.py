"""The outputs that a user asked for, opened together and closed together."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.outputs import Output
from edge_runtime.predictions import Event, Prediction, Summary
from edge_runtime.windowing import hop_samples


class OnlyChanges:
    """Hands to another output the first window of a source and each whose smoothed genre is new, and all else.

    Parameters
    ----------
    output : Output
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: tuple[str, str] | None = None

    def window(self, prediction: Prediction) -> None:
        now = (prediction.source, prediction.smoothed_genre)
        if now != self._last:
            self._last = now
            self._output.window(prediction)

    def event(self, event: Event) -> None:
        self._output.event(event)

    def summary(self, summary: Summary) -> None:
        self._last = None
        self._output.summary(summary)

    def close(self) -> None:
        self._output.close()


@dataclass(frozen=True)
class OutputSettings:
    """Where answers go."""

    as_json: bool = False
    """JSON lines on standard output."""
    plain: bool = False
    """Lines on standard output, also where it is a terminal."""
    changes: bool = False
    """Only windows whose smoothed answer is new, but for the history."""
    history: Path | None = None
    """A SQLite file that keeps every window and event."""
    keep_days: float = 90.0
    """Days that the history goes back."""
    mqtt: str | None = None
    """``mqtt://[user[:password]@]host[:port]/topic``, or ``mqtts://``."""

    def __post_init__(self) -> None:
        if self.as_json and self.plain:
            raise TmgcError("one form of output is needed: --json and --plain exclude each other")
        if not 0 < self.keep_days <= 36_500:
            raise TmgcError(f"--keep-days must be above 0 and at most 36500, got {self.keep_days:g}")


@contextmanager
def open_outputs(
    settings: OutputSettings, classifier: GenreClassifier, model: Path, *, hop_seconds: float
) -> Iterator[list[Output]]:
    """The outputs, which are closed whatever happens.

    Parameters
    ----------
    settings : OutputSettings
    classifier : GenreClassifier
    model : Path
        The file that it was opened from.
    hop_seconds : float > 0
        Seconds between windows, as wished.

    Raises
    ------
    TmgcError
        One of them cannot be opened.
    """
    from edge_runtime.outputs.factory import OnlyChanges

    with ExitStack() as closing:
        outputs: list[Output] = []
        if settings.history:
            from edge_runtime.outputs.sqlite import History

            spectrogram = classifier.card.spectrogram
            outputs.append(
                History(
                    settings.history,
                    model=str(model),
                    genres=classifier.card.genres,
                    hop_seconds=hop_samples(spectrogram, hop_seconds) / spectrogram.sample_rate,
                    keep_days=settings.keep_days,
                )
            )
            closing.callback(outputs[-1].close)
        if settings.mqtt:
            from edge_runtime.outputs.mqtt import Mqtt

            mqtt = Mqtt(settings.mqtt, model=classifier.card.name)
            outputs.append(OnlyChanges(mqtt) if settings.changes else mqtt)
            closing.callback(mqtt.close)
        if os.environ.get("NOTIFY_SOCKET"):
            from edge_runtime.outputs.systemd import ServiceStatus

            outputs.append(ServiceStatus())
            closing.callback(outputs[-1].close)
        # The last opened is the first closed, so that the live view has left the terminal when others have to speak.
        shown = _shown(settings, classifier, model)
        outputs.append(OnlyChanges(shown) if settings.changes else shown)
        closing.callback(shown.close)
        yield outputs


def _shown(settings: OutputSettings, classifier: GenreClassifier, model: Path) -> Output:
    if settings.as_json:
        from edge_runtime.outputs.json_lines import JsonLines

        return JsonLines(classifier, str(model))
    if not settings.plain and not settings.changes and sys.stdout.isatty():
        from edge_runtime.outputs.live import LiveView, can_show

        if can_show():
            return LiveView(classifier, model)
    from edge_runtime.outputs.text import PlainLines

    return PlainLines()
