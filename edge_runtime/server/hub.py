"""The newest answers for HTTP clients: an output that takes them from the listener, which never waits for a client.

The listener's thread appends to a bounded queue and goes on. The server's event loop empties it, keeps the last
messages, and hands each to the streams; one whose client is too slow is cut.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.outputs import Output
from edge_runtime.outputs.json_lines import event_json, iso8601, summary_json, window_json
from edge_runtime.predictions import Event, Prediction, Summary
from edge_runtime.server.metrics import Metrics
from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.settings import is_loopback
from edge_runtime.spectrogram import SpectrogramSettings, mel_weights

MAX_WAITING = 1000
"""Results that wait for the event loop; the oldest are lost and counted if it is stuck."""

KEPT_MESSAGES = 900
"""Windows and events that are kept for clients that come back: a quarter of an hour at a hop of 1 s."""

CLIENT_MESSAGES = 200
"""Messages that a client may be behind, half a minute of them; then it is cut."""

MAX_STREAMS = 32

MAX_STREAMS_OF_ONE_CLIENT = 8
"""Streams of one address of another machine; a reverse proxy's are this machine's."""

FRESH_SECONDS = 5.0
"""Sound older than this means that the source hangs."""

_KEPT_DELAYS = 600
_PROBLEM = {"device lost": True, "device back": False}


class Message(NamedTuple):
    """One Server-Sent Event."""

    number: int
    """Its id: milliseconds since 1970, UTC, or the next number after the one before; 0 where it has none."""
    kind: str
    """``window``, ``event``, ``summary``, ``levels``, ``past`` or ``heartbeat``."""
    data: str
    """A JSON object."""


class Subscription:
    """The messages that wait for one client.

    Parameters
    ----------
    client : str or None
        Its address.

    Attributes
    ----------
    client : str or None
    ended : bool
        Whether the client was cut since it is too slow, or the server ends.
    """

    def __init__(self, client: str | None = None) -> None:
        self.client = client
        self.ended = False
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()

    def put(self, message: Message) -> None:
        """Append a message, or end where too many wait."""
        if len(self._waiting) >= CLIENT_MESSAGES:
            self.end()
        else:
            self._waiting.append(message)
            self._arrived.set()

    def end(self) -> None:
        """Have :meth:`get` return None from now on."""
        self.ended = True
        self._arrived.set()

    async def get(self) -> Message | None:
        """The next message; None at the end."""
        while not self._waiting and not self.ended:
            self._arrived.clear()
            await self._arrived.wait()
        return None if self.ended else self._waiting.popleft()


class Hub(Output):
    """Receives results from the listener's thread, and serves them in the event loop that :meth:`attach` names.

    Parameters
    ----------
    model : ServedModel
        The model that listens.
    metrics : Metrics
    on_window : callable, optional
        Called with each prediction, in the listener's thread.

    Attributes
    ----------
    newest : Prediction or None
    since : datetime or None
        When the smoothed genre of the newest prediction was predicted first, UTC.
    dropped_windows : int
        Of all sources.
    cut_clients : int
        Streams that were ended since their clients were too slow.
    lost : int
        Results that were lost since the event loop was stuck.
    """

    wants_frames = True

    def __init__(
        self, model: ServedModel, metrics: Metrics, *, on_window: Callable[[Prediction], None] | None = None
    ) -> None:
        self.newest: Prediction | None = None
        self.since: datetime | None = None
        self.dropped_windows = 0
        self.cut_clients = 0
        self.lost = 0
        self._model = model
        self._on_window = on_window
        self._metrics = metrics
        metrics.clients.set_function(lambda: self.streams)
        self._strip = _Strip(model.classifier.spectrogram.settings)
        self._inbox: deque[Callable[[], None]] = deque(maxlen=MAX_WAITING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        self._sound_at: float | None = None
        self._problem: Event | None = None
        self._ended = False
        self._delays: deque[float] = deque(maxlen=_KEPT_DELAYS)
        self._kept: deque[Message] = deque(maxlen=KEPT_MESSAGES)
        self._number = 0
        self._subscriptions: set[Subscription] = set()

    def window(self, prediction: Prediction) -> None:
        if self._on_window:
            self._on_window(prediction)
        self._hand_over(lambda: self._take_window(prediction))

    def event(self, event: Event) -> None:
        self._hand_over(lambda: self._take_event(event))

    def summary(self, summary: Summary) -> None:
        self._hand_over(lambda: self._take_summary(summary))

    def frames(self, power: NDArray[np.float32], end_seconds: float) -> None:
        self._sound_at = monotonic()
        if self._subscriptions:
            self._hand_over(lambda: self._take_frames(power, end_seconds))

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve in this event loop from now on; called in its thread."""
        self._loop = loop
        self._empty_inbox()

    def end_streams(self) -> None:
        """End all streams; called in the event loop."""
        for subscription in self._subscriptions:
            subscription.end()

    def subscribe(self, client: str | None = None) -> Subscription:
        """A subscription to every message from now on; :meth:`unsubscribe` ends it.

        Parameters
        ----------
        client : str, optional
            Address of the client.

        Raises
        ------
        RefusedError
            There are too many, of this client or in all.
        """
        later = "try again later", {"Retry-After": "15"}
        if self.streams >= MAX_STREAMS:
            raise RefusedError(503, f"at most {MAX_STREAMS} streams are open", f"{self.streams} are", *later)
        of_client = sum(subscription.client == client for subscription in self._subscriptions)
        if client and not is_loopback(client) and of_client >= MAX_STREAMS_OF_ONE_CLIENT:
            rule = f"at most {MAX_STREAMS_OF_ONE_CLIENT} streams of one address are open"
            raise RefusedError(503, rule, f"{of_client} are", *later)
        subscription = Subscription(client)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._subscriptions.discard(subscription)

    @property
    def streams(self) -> int:
        """Number of clients."""
        return len(self._subscriptions)

    def kept_after(self, number: float) -> tuple[list[Message], int | None]:
        """What was kept of the messages after one.

        Parameters
        ----------
        number : float
            Its id.

        Returns
        -------
        messages : list of Message
        oldest : int or None
            The id of the oldest message that is kept, or the present time where none is, if others may be missing
            before it.
        """
        messages = [message for message in self._kept if message.number > number]
        now = round(time() * 1000)
        oldest = self._kept[0].number if self._kept else now  # just started: what was before is missing
        return messages, None if oldest <= number else oldest

    @property
    def kept(self) -> list[Message]:
        """The last windows and events, in their order."""
        return list(self._kept)

    @property
    def source(self) -> str | None:
        """Name of the source; None before its first window or event."""
        known = self._problem or self.newest
        return known.source if known else None

    @property
    def sound_age_seconds(self) -> float | None:
        """Since the last sound has arrived; None before the first."""
        return None if self._sound_at is None else monotonic() - self._sound_at

    def delay_ms(self) -> dict[str, float]:
        """p50 and p99 of the delay of the last windows; empty before the first."""
        if not self._delays:
            return {}
        p50, p99 = np.percentile(list(self._delays), (50, 99))
        return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}

    def state(self) -> tuple[str, str]:
        """What the listener does.

        Returns
        -------
        state : str
            ``listening``, ``starting``, ``device lost``, ``hung`` or ``ended``.
        reason : str
            One line for a person; empty while it is listening.
        """
        if self._ended:
            return "ended", "the source has ended"
        if self._problem:
            return "device lost", f"{self._problem.source}: {self._problem.reason}"
        age = self.sound_age_seconds
        if self.newest is None and (age is None or age < FRESH_SECONDS):
            return "starting", "no sound has arrived yet" if age is None else "no window has been classified yet"
        if age is None or age >= FRESH_SECONDS:
            return "hung", f"no sound has arrived for {age or 0:.0f} s"
        return "listening", ""

    def _hand_over(self, work: Callable[[], None]) -> None:
        """Have the event loop do something; called in the listener's thread, which goes on at once."""
        self.lost += len(self._inbox) == MAX_WAITING
        self._inbox.append(work)
        if self._loop is not None and not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._empty_inbox)
            except RuntimeError:  # the loop is closed
                self._loop = None

    def _empty_inbox(self) -> None:
        self._woken = False
        while self._inbox:
            self._inbox.popleft()()

    def _take_window(self, prediction: Prediction) -> None:
        before = self.newest
        if before is None or (before.source, before.smoothed_genre) != (prediction.source, prediction.smoothed_genre):
            self.since = prediction.time
        another_source = before is None or before.source != prediction.source
        earlier = 0 if another_source or before is None else before.dropped_windows
        dropped = max(0, prediction.dropped_windows - earlier)
        self.dropped_windows += dropped
        self._metrics.dropped.inc(dropped)
        self._metrics.window(prediction)
        self.newest, self._ended = prediction, False
        self._delays.append(prediction.delay_ms)
        self._send("window", window_json(prediction), prediction.time)

    def _take_event(self, event: Event) -> None:
        self._metrics.event(event)
        if event.event in _PROBLEM:
            self._problem = event if _PROBLEM[event.event] else None
        self._send("event", event_json(event), event.time)

    def _take_summary(self, summary: Summary) -> None:
        self._ended = True
        self._send("summary", summary_json(summary, self._model.fields), datetime.now(UTC))

    def _take_frames(self, power: NDArray[np.float32], end_seconds: float) -> None:
        if data := self._strip.add(power, end_seconds):
            self._publish(Message(0, "levels", data))

    def _send(self, kind: str, data: str, at: datetime) -> None:
        """Number and keep a message, and publish it."""
        self._number = max(self._number + 1, round(at.timestamp() * 1000))
        message = Message(self._number, kind, data)
        self._kept.append(message)
        self._publish(message)

    def _publish(self, message: Message) -> None:
        for subscription in self._subscriptions:
            ended = subscription.ended
            subscription.put(message)
            cut = subscription.ended and not ended
            self.cut_clients += cut
            self._metrics.cut_clients.inc(cut)


def heartbeat(hub: Hub) -> Message:
    """The message that shows that the server lives, and what the listener does."""
    state, reason = hub.state()
    fields = {"time": iso8601(datetime.fromtimestamp(time(), UTC)), "state": state, "reason": reason}
    return Message(0, "heartbeat", json.dumps(fields, ensure_ascii=False))


class _Strip:
    """Spectrogram frames to columns of bytes: about twelve a second, in messages of three."""

    COLUMNS_PER_SECOND = 12
    COLUMNS = 3
    QUIETEST_DB = -96.0
    """Below full scale; the byte 0. A sine at full scale in the middle of a band is the byte 255."""

    def __init__(self, settings: SpectrogramSettings) -> None:
        per_second = settings.sample_rate / settings.hop_length
        self._frames = max(1, round(per_second / self.COLUMNS_PER_SECOND))
        self._per_second = per_second / self._frames
        weights = mel_weights(settings).max(axis=1)
        # The Hann window halves a sine's amplitude of n_fft / 2. Bands between two bins have no weight at all.
        self._full_scale = np.maximum(weights, weights.max() / 100) * (settings.n_fft / 4) ** 2
        self._waiting = np.zeros((0, settings.n_mels), np.float32)

    def add(self, power: NDArray[np.float32], end_seconds: float) -> str | None:
        """The next message, when its columns are complete."""
        self._waiting = np.concatenate([self._waiting, power])
        columns = len(self._waiting) // self._frames
        if columns < self.COLUMNS:
            return None
        whole = columns * self._frames
        pooled = self._waiting[:whole].reshape(columns, self._frames, -1).mean(axis=1) / self._full_scale
        decibels = 10 * np.log10(np.maximum(pooled, 1e-10))
        levels = np.clip(255 * (1 - decibels / self.QUIETEST_DB), 0, 255).astype(np.uint8)
        self._waiting = self._waiting[whole:]
        end_seconds -= len(self._waiting) / self._frames / self._per_second
        return json.dumps(
            {
                "end_s": round(end_seconds, 3),
                "columns_per_s": round(self._per_second, 3),
                "bands": levels.shape[1],
                "columns": b64encode(levels.tobytes()).decode("ascii"),
            }
        )
