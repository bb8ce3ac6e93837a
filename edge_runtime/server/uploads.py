"""Sound in the body of a request: decoded as a stream while it arrives, and classified, under limits.

A thread decodes and classifies one body at a time. The event loop feeds it through a pipe, so that a client is read no
faster than its sound is classified; the lines of the answer wait in memory, so that a client may send all of its body
before it reads any of them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from edge_runtime.audio import Samples
from edge_runtime.decoding.ffmpeg import has_ffmpeg
from edge_runtime.decoding.pcm import Block
from edge_runtime.decoding.stream import ForwardReader, StreamDecoder, to_mono
from edge_runtime.errors import TmgcError
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.outputs.json_lines import summary_json, window_json
from edge_runtime.predictions import Summarizer
from edge_runtime.server.bodies import Limits, Read
from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.stated_length import StatedLength

After = Callable[[], Awaitable[None]]

Answer = TypeVar("Answer")

SETTLING_SECONDS = 0.5
"""Decoded before the stretch that was asked for, so that the filter that removes an offset has settled."""

READ_AHEAD_BYTES = 4 << 20
"""Of a body, before it is decoded: an hour of the most compressed sound, so that longer ones are refused early."""


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

    async def lines(
        self, read: Read, model: ServedModel, settings: UploadSettings, *, name: str, then: After | None = None
    ) -> AsyncGenerator[str, None]:
        """The lines of an answer, as their windows are classified.

        Parameters
        ----------
        read : callable
            Reads the body.
        model : ServedModel
        settings : UploadSettings
        name : str
            Name of the source.
        then : callable, optional
            Waits for the client to go away, once all is read.

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
        feeding = loop.create_task(job.feed(read, then))
        deadline = loop.time() + self.limits.total_seconds
        try:
            while (line := await job.next_line(deadline)) is not None:
                yield line
        finally:
            job.stop()
            feeding.cancel()
        await asyncio.wait({feeding})
        if job.refusal:
            raise job.refusal

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Do other work with a model in its turn.

        Raises
        ------
        RefusedError
            Too many others wait.
        """
        await self._acquire()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._turn.release()

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
        self.refusal: RefusedError | None = None
        self.requested = False
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
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

    async def next_line(self, deadline: float) -> str | None:
        """The next line of the answer; None at its end."""
        try:
            async with asyncio.timeout_at(deadline):
                line = await self._lines.get()
        except TimeoutError:
            self.refuse(
                RefusedError(
                    408,
                    f"a body is answered in {self._limits.total_seconds:g} s",
                    "it takes longer",
                    "send a shorter sound, or name a stretch of it: ?start=60&duration=60",
                )
            )
            return None
        self._sent_bytes += len(line or "")
        self._room.set()
        return line

    async def feed(self, read: Read, then: After | None) -> None:
        """Write the body to the pipe, until its end or the thread's."""
        transport, protocol = await self._loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(self._write_end, "wb", 0)
        )
        writer = asyncio.StreamWriter(transport, protocol, None, self._loop)
        transport.set_write_buffer_limits(high=READ_AHEAD_BYTES)
        stated = StatedLength()
        try:
            while chunk := await read():
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
        if then:
            await then()
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
            self._loop.call_soon_threadsafe(self._lines.put_nowait, None)

    def _put(self, line: str) -> None:
        while self._put_bytes - self._sent_bytes > self._limits.answer_bytes and not self.requested:
            self._room.clear()
            self._room.wait(0.1)
        self._put_bytes += len(line)
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

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


def too_long(limits: Limits, found: str) -> RefusedError:
    """The refusal of a sound that is too long once it is decoded."""
    rule = f"a sound has at most {limits.seconds:g} s and {limits.samples} samples"
    return RefusedError(413, rule, found, "name a stretch of it, e.g. ?start=60&duration=60, or send a part")


def _undecodable(reason: str) -> RefusedError:
    known = "WAV, FLAC, MP3, Ogg or another format that ffmpeg decodes" if has_ffmpeg() else "WAV"
    return RefusedError(415, "a body must be a sound that can be decoded", reason, f"send {known}")
