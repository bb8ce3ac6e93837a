"""Opens the outputs that were asked for, and closes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.history.retention import Retention
from edge_runtime.outputs import Output
from edge_runtime.outputs.systemd import ServiceStatus
from edge_runtime.predictions import Event, Prediction, Summary
from edge_runtime.service import is_service
from edge_runtime.terminal import standard_output
from edge_runtime.windowing import hop_samples


class OnlyChanges(Output):
    """Passes on the first window of a source and each whose smoothed genre differs from the one before, and all else.

    Parameters
    ----------
    output : Output
        Receives what is passed on.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: tuple[str, str] | None = None

    def window(self, prediction: Prediction) -> None:
        current = (prediction.source, prediction.smoothed_genre)
        if current != self._last:
            self._last = current
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
    """Which outputs are open."""

    as_json: bool = False
    """JSON lines on standard output."""
    plain: bool = False
    """Text lines on standard output, also on a terminal."""
    changes: bool = False
    """Only windows whose smoothed genre has changed; the history still gets all."""
    history: Path | None = None
    """A SQLite file for every window and event."""
    keep_days: float = 90.0
    """Age at which rows of the history are deleted, days."""
    keep_mb: float = 500.0
    """Size of the history from which its oldest rows are deleted, MB (1e6 bytes)."""
    mqtt: str | None = None
    """``mqtt://[user[:password]@]host[:port]/topic``, or ``mqtts://...[?cafile=PATH]``."""

    def __post_init__(self) -> None:
        if self.as_json and self.plain:
            raise TmgcError("standard output has one form: --json and --plain exclude each other")
        Retention(self.keep_days, self.keep_mb)
        if self.mqtt is not None:
            from edge_runtime.outputs.broker import Broker

            Broker.from_url(self.mqtt)


@contextmanager
def open_outputs(
    settings: OutputSettings, classifier: GenreClassifier, model: Path, *, hop_seconds: float
) -> Iterator[list[Output]]:
    """Open the outputs; they are closed at the end, also after an error.

    Parameters
    ----------
    settings : OutputSettings
    classifier : GenreClassifier
    model : Path
        The file that it was opened from.
    hop_seconds : float > 0
        From one window to the next, not yet rounded to whole spectrogram frames.

    Yields
    ------
    outputs : list of Output

    Raises
    ------
    TmgcError
        One of them cannot be opened.
    """
    with ExitStack() as stack:
        outputs: list[Output] = []

        def add(output: Output) -> None:
            stack.callback(output.close)
            outputs.append(output)

        if settings.history:
            add(_open_history(settings, settings.history, classifier, model, hop_seconds))
        if settings.mqtt:
            from edge_runtime.outputs.mqtt import MqttPublisher

            publisher = MqttPublisher(settings.mqtt, model=classifier.card.name)
            add(OnlyChanges(publisher) if settings.changes else publisher)
        if is_service():
            add(ServiceStatus())
        # The last one is closed first: the live view restores the terminal before the others log their warnings.
        displayed = _open_display(settings, classifier, model)
        add(OnlyChanges(displayed) if settings.changes else displayed)
        yield outputs


def _open_history(
    settings: OutputSettings, path: Path, classifier: GenreClassifier, model: Path, hop_seconds: float
) -> Output:
    from edge_runtime.outputs.sqlite import History

    spectrogram = classifier.card.spectrogram
    return History(
        path,
        model=str(model),
        genres=classifier.card.genres,
        hop_seconds=hop_samples(spectrogram, hop_seconds) / spectrogram.sample_rate,
        keep_days=settings.keep_days,
        keep_mb=settings.keep_mb,
    )


def _open_display(settings: OutputSettings, classifier: GenreClassifier, model: Path) -> Output:
    """The output on standard output."""
    if settings.as_json:
        from edge_runtime.outputs.json_lines import JsonLines

        return JsonLines(classifier, str(model), standard_output("utf-8"))  # JSON is UTF-8 in every locale
    stream = standard_output()
    if not settings.plain and not settings.changes and stream is not None and stream.isatty():
        from edge_runtime.outputs.live import LiveView, can_show

        if can_show():
            return LiveView(classifier, model)
    from edge_runtime.outputs.text import TextLines

    return TextLines(classifier.card.spectrogram.window_seconds, stream)
