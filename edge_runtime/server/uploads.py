"""Sound in the body of a request: decoded as a stream while it arrives, and classified, under limits.

A thread decodes and classifies one body at a time. The event loop feeds it through a pipe, so that a client is read no
faster than its sound is classified; the lines of the answer wait in memory, so that a client may send all of its body
before it reads any of them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from starlette.types import Receive

from edge_runtime.audio import Samples
from edge_runtime.decoding.ffmpeg import has_ffmpeg
from edge_runtime.decoding.pcm import Block
from edge_runtime.decoding.stream import ForwardReader, StreamDecoder, to_mono
from edge_runtime.errors import TmgcError
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.outputs.json_lines import summary_json, window_json
from edge_runtime.predictions import Summarizer
from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.stated_length import StatedLength

SETTLING_SECONDS = 0.5
"""Decoded before the stretch that was asked for, so that the filter that removes an offset has settled."""

READ_AHEAD_BYTES = 4 << 20
"""Of a body, before it is decoded: an hour of the most compressed sound, so that longer ones are refused early."""

LINGER_SECONDS = 2.0
"""For what a client goes on to send after it was refused."""


@dataclass(frozen=True)
class Limits:
    """What is answered at most, counted while a body is read and decoded."""

    body_bytes: int = 50_000_000
    seconds: float = 3600.0
    """Of decoded sound."""
    samples: int = (256 << 20) // 4
    """Decoded, of all channels: 256 MiB of float32."""
    rates: tuple[int, int] = (8_000, 192_000)
    """Lowest and highest sample rate, Hz."""
    channels: int = 8
    waiting: int = 4
    """Bodies that wait while another is decoded."""
    idle_seconds: float = 10.0
    """Without progress of the client."""
    total_seconds: float = 600.0
    """From the first byte of the body to the answer."""
    answer_bytes: int = 16 << 20
    """Lines of the answer that wait for the client."""


@dataclass(frozen=True)
class UploadSettings:
    """What a client asks for."""

    listening: ListenSettings
    start_seconds: float = 0.0
    seconds: float = float("inf")
    """Length to classify from there."""
    windows: bool = True
    """Whether to answer with a line for each window, and not with the summary alone."""

    @property
    def end_seconds(self) -> float:
        """Where the stretch ends."""
        return self.start_seconds + self.seconds


class Body:
    """The body of a request.

    Parameters
    ----------
    receive : callable
        Of ASGI.
    limits : Limits
    """

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._limits = limits
        self._complete = False
        self._gone = False
        self._total = 0

    def check_declared(self, content_length: bytes | None) -> None:
        """Refuse a body by its header, before a client that waits for ``100 Continue`` sends it."""
        if content_length and int(content_length) > self._limits.body_bytes:
            raise too_large(self._limits, f"{int(content_length)} bytes")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises
        ------
        RefusedError
            It is too large, or the client idles.
        ConnectionResetError
            The client has gone.
        """
        while not self._complete:
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    chunk = await self._take()
            except TimeoutError:
                raise RefusedError(
                    408,
                    f"a body must go on within {self._limits.idle_seconds:g} s",
                    "nothing has arrived for longer",
                    "send it again",
                ) from None
            if self._gone:
                raise ConnectionResetError
            if self._total > self._limits.body_bytes:
                raise too_large(self._limits, f"more than {self._limits.body_bytes} bytes")
            yield chunk

    async def disconnected(self) -> None:
        """Wait until the client closes the connection, or sends much more than it may."""
        while not self._gone and self._total <= 2 * self._limits.body_bytes:
            await self._take()

    async def skip(self) -> None:
        """Read the rest of the body for a moment, so that the client reads the answer before its sending fails."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not (self._complete or self._gone) and self._total <= 2 * self._limits.body_bytes:
                    await self._take()

    async def _take(self) -> bytes:
        message = await self._receive()
        chunk: bytes = message.get("body", b"")
        self._total += len(chunk)
        self._gone = message["type"] == "http.disconnect"
        self._complete = self._complete or not (self._gone or message.get("more_body", False))
        return chunk


class Decoder:
    """Classifies one body at a time, in a thread of its own.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="uploads")
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    def close(self) -> None:
        """End the thread after its present work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _acquire(self) -> None:
        """Wait for the turn of one body, unless too many wait already."""
        if self._turn.locked() and self._waiting >= self.limits.waiting:
            raise RefusedError(
                429,
                f"one body is decoded at a time, and {self.limits.waiting} may wait",
                f"{self._waiting} are waiting",
                "try again after the seconds of Retry-After",
                {"Retry-After": "5"},
            )
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1

    async def lines(
        self, body: Body, model: ServedModel, settings: UploadSettings, *, name: str
    ) -> AsyncGenerator[str, None]:
        """The lines of an answer, as their windows are classified.

        Parameters
        ----------
        body : Body
        model : ServedModel
        settings : UploadSettings
        name : str
            Name of the source.

        Raises
        ------
        RefusedError
            The body cannot be decoded, or exceeds a limit, or too many others wait.
        """
        await self._acquire()
        loop = asyncio.get_running_loop()
        job = _Job(loop, model, settings, self.limits, name)
        work = loop.run_in_executor(self._thread, job.run)
        work.add_done_callback(lambda _: self._turn.release())
        feeding = loop.create_task(job.feed(body))
        try:
            async with asyncio.timeout(self.limits.total_seconds):
                while (line := await job.lines.get()) is not None:
                    job.sent(line)
                    yield line
        except TimeoutError:
            job.refuse(
                RefusedError(
                    408,
                    f"a body is answered in {self.limits.total_seconds:g} s",
                    "it takes longer",
                    "send a shorter sound, or name a stretch of it: ?start=60&duration=60",
                )
            )
        finally:
            job.stop()
            feeding.cancel()
        if job.refusal:
            raise job.refusal


class _Job:
    """One body: fed by the event loop, decoded and classified in the thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        model: ServedModel,
        settings: UploadSettings,
        limits: Limits,
        name: str,
    ) -> None:
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.refusal: RefusedError | None = None
        self.requested = False
        self._loop = loop
        self._model = model
        self._settings = settings
        self._limits = limits
        self._name = name
        self._read_end, self._write_end = os.pipe()
        self._put_bytes = 0  # by the thread
        self._sent_bytes = 0  # by the event loop
        self._room = threading.Event()

    def stop(self) -> None:
        """End the work, whatever it waits for."""
        self.requested = True
        self._room.set()

    def refuse(self, refusal: RefusedError) -> None:
        """Keep the first reason why there is no answer, and end the work."""
        self.refusal = self.refusal or refusal
        self.stop()

    def sent(self, line: str) -> None:
        """Count a line that the client takes."""
        self._sent_bytes += len(line)
        self._room.set()

    async def feed(self, body: Body) -> None:
        """Write the body to the pipe, until its end or the thread's."""
        transport, protocol = await self._loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(self._write_end, "wb", 0)
        )
        writer = asyncio.StreamWriter(transport, protocol, None, self._loop)
        transport.set_write_buffer_limits(high=READ_AHEAD_BYTES)
        stated = StatedLength()
        try:
            async for chunk in body.chunks():
                stated.feed(chunk)
                if min(stated.seconds, self._settings.end_seconds) > self._limits.seconds:
                    raise too_long(self._limits, f"it states {stated.seconds:.0f} s")
                writer.write(chunk)
                await writer.drain()
        except RefusedError as refusal:
            self.refuse(refusal)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the thread has heard enough
        finally:
            transport.close()
        await body.disconnected()
        self.stop()

    def run(self) -> None:
        """Decode and classify, in the thread."""
        try:
            for line in self._classified():
                self._put(line)
        except RefusedError as refusal:
            self.refuse(refusal)
        except TmgcError as error:
            self.refuse(_undecodable(str(error)))
        finally:
            self._loop.call_soon_threadsafe(self.lines.put_nowait, None)

    def _put(self, line: str) -> None:
        while self._put_bytes - self._sent_bytes > self._limits.answer_bytes and not self.requested:
            self._room.clear()
            self._room.wait(0.1)
        self._put_bytes += len(line)
        self._loop.call_soon_threadsafe(self.lines.put_nowait, line)

    def _classified(self) -> Iterator[str]:
        card, settings = self._model.classifier.card, self._settings
        threshold = settings.listening.threshold_for(card)
        summarizer = Summarizer(self._name, threshold=threshold, pooling=card.pooling)
        source = _Upload(self._name, card.spectrogram.sample_rate, self._blocks)
        for prediction in listen(source, self._model.classifier, settings.listening):
            if self.requested:
                return
            summarizer.add(prediction)
            if settings.windows:
                at = settings.start_seconds
                yield window_json(
                    replace(
                        prediction,
                        start_seconds=prediction.start_seconds + at,
                        end_seconds=prediction.end_seconds + at,
                    )
                )
        if self.requested:
            return
        summary = summarizer.summary()
        if not summary.windows:
            seconds = card.spectrogram.window_seconds
            raise RefusedError(
                422, f"a sound must hold at least one window of {seconds:g} s", "it is shorter", "send a longer one"
            )
        yield summary_json(summary, self._model.fields)

    def _blocks(self) -> Iterator[Samples]:
        settings, rate = self._settings, self._model.classifier.card.spectrogram.sample_rate
        before = min(settings.start_seconds, SETTLING_SECONDS)
        begin = settings.start_seconds - before
        decoder = StreamDecoder(self._read_end, stop=self, owned=True)
        opened = False
        try:
            reader = ForwardReader(lambda: decoder)
            opened = True
            stretch = self._counted(reader.read(begin, settings.end_seconds))
            yield from to_mono(stretch, sample_rate=rate, warn=lambda _: None, skip_seconds=before)
        finally:
            if opened:  # a reader that does not open closes its decoder
                decoder.close()

    def _counted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks, as long as they exceed no limit."""
        limits, seconds, samples = self._limits, 0.0, 0
        for block in blocks:
            if self.requested:
                return
            self._check_format(block)
            seconds += len(block.samples) / block.rate
            samples += block.samples.size
            if seconds > limits.seconds:
                raise too_long(limits, f"more than {limits.seconds:g} s")
            if samples > limits.samples:
                raise too_long(limits, f"more than {limits.samples} samples")
            yield block

    def _check_format(self, block: Block) -> None:
        (lowest, highest), channels = self._limits.rates, block.samples.shape[1]
        if not lowest <= block.rate <= highest:
            rule = f"a sound has a sample rate of {lowest} to {highest} Hz"
            raise RefusedError(422, rule, f"{block.rate} Hz", "resample it: ffmpeg -i FILE -ar 44100 song.flac")
        if channels > self._limits.channels:
            rule = f"a sound has at most {self._limits.channels} channels"
            raise RefusedError(422, rule, f"{channels} channels", "mix it down: ffmpeg -i FILE -ac 2 song.flac")


class _Upload:
    """The body as a source of the listener."""

    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, name: str, sample_rate: int, blocks: Callable[[], Iterator[Samples]]) -> None:
        self.name = name
        self.sample_rate = sample_rate
        self._blocks = blocks

    def blocks(self) -> Iterator[Samples | None]:
        yield from self._blocks()


def too_large(limits: Limits, found: str) -> RefusedError:
    """The refusal of a body with too many bytes."""
    rule = f"a body has at most {limits.body_bytes // 1_000_000} MB"
    return RefusedError(413, rule, found, "send a compressed sound, or a part of it")


def too_long(limits: Limits, found: str) -> RefusedError:
    """The refusal of a sound that is too long once it is decoded."""
    rule = f"a sound has at most {limits.seconds:g} s and {limits.samples} samples"
    return RefusedError(413, rule, found, "name a stretch of it, e.g. ?start=60&duration=60, or send a part")


def _undecodable(reason: str) -> RefusedError:
    known = "WAV, FLAC, MP3, Ogg or another format that ffmpeg decodes" if has_ffmpeg() else "WAV"
    return RefusedError(415, "a body must be a sound that can be decoded", reason, f"send {known}")
