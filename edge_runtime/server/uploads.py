"""Sound in the body of a request: decoded as a stream while it arrives, and classified, under limits.

A thread decodes and classifies one body at a time. The event loop feeds it through a pipe, so that a client is read no
faster than its sound is classified; the lines of the answer wait in memory, so that a client may send all of its body
before it reads any of them.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import TypeVar

from edge_runtime.audio import Samples
from edge_runtime.decoding.ffmpeg import has_ffmpeg
from edge_runtime.decoding.stream import ForwardReader, to_mono
from edge_runtime.errors import InvalidAnswerError, TmgcError
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.outputs.json_lines import summary_json, window_json
from edge_runtime.predictions import Event, Summarizer
from edge_runtime.server.bodies import Limits, Read
from edge_runtime.server.limited_decoder import LimitedDecoder, stated_refusal
from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.stated_length import StatedLength
from edge_runtime.terminal import printable

log = logging.getLogger("tmgc.server")

After = Callable[[], Awaitable[None]]

Answer = TypeVar("Answer")

PIPE_BYTES = 1 << 20

HELD_SECONDS = 0.02
"""How long the lines of a small body are held to be sent at once."""

SETTLING_SECONDS = 0.5
"""Decoded before the stretch that was asked for, so that the filter that removes an offset has settled."""

MAX_SMOOTH = 600
"""Windows that are pooled: with thousands, pooling takes longer than the model, and its time from the listener."""

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
        self,
        sound: bytes | Read,
        model: ServedModel,
        settings: UploadSettings,
        *,
        name: str,
        then: After | None = None,
    ) -> AsyncGenerator[str, None]:
        """The lines of an answer, as their windows are classified; several at once where they are there.

        Parameters
        ----------
        sound : bytes or callable
            The body, or what reads it.
        model : ServedModel
        settings : UploadSettings
        name : str
            Name of the source.
        then : callable, optional
            Waits for the client to go away, once all is read.

        Raises
        ------
        RefusedError
            The body cannot be decoded, or exceeds a limit, or too many windows are pooled or others wait.
        """
        _check_smooth(settings.listening.smooth_for(model.classifier.card))
        await self._acquire()
        loop = asyncio.get_running_loop()
        job, filled = self._begin(sound, lambda: _Job(loop, model, settings, self.limits, name))
        feeding = None if filled else loop.create_task(job.feed(sound, then))
        deadline = loop.time() + self.limits.total_seconds
        try:
            while lines := await job.next_lines(deadline):
                yield lines
        finally:
            job.stop()
            if feeding:
                feeding.cancel()
                feeding.add_done_callback(lambda _: job.close_unfed())
        if feeding:
            await asyncio.wait({feeding})
        if job.refusal:
            raise job.refusal

    def _begin(self, sound: bytes | Read, open_job: Callable[[], _Job]) -> tuple[_Job, bool]:
        """Begin in the turn that was acquired; also whether the job has all of the body already."""
        job = None
        try:
            job = open_job()
            filled = isinstance(sound, bytes) and job.fill(sound)
            work = asyncio.get_running_loop().run_in_executor(self._thread, job.run)
        except BaseException as error:
            self._turn.release()
            if job:
                job.close()
            raise (failed(error) if isinstance(error, Exception) else error) from None
        work.add_done_callback(lambda _: self._end(job))
        return job, filled

    def _end(self, job: _Job) -> None:
        job.end()
        self._turn.release()

    async def run(self, read: Read, work: Callable[[bytes], Answer]) -> Answer:
        """Read a body and do other work with a model in its turn.

        Parameters
        ----------
        read : callable
            Reads all of the body.
        work : callable
            Is called in the thread.

        Raises
        ------
        RefusedError
            The body is refused, or too many others wait.
        ConnectionResetError
            The client has gone.
        """
        await self._acquire()
        try:
            content = await read()
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, content)
        except (RefusedError, ConnectionResetError):
            raise
        except Exception as error:
            raise failed(error) from None
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
        self._lines: asyncio.Queue[str] = asyncio.Queue()  # an empty one is the last
        self._loop = loop
        self._model = model
        self._settings = settings
        self._limits = limits
        self._name = name
        self._read_end, self._write_end = os.pipe()
        self._owned = {self._read_end, self._write_end}  # until they are handed over
        self._is_wide = False
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux: some seconds of sound pass at once, without turns of both threads
            with suppress(OSError):
                self._is_wide = fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES
        self._put_bytes = 0  # by the thread
        self._sent_bytes = 0  # by the event loop
        self._room = threading.Event()
        self._filled = False
        self._held: list[str] = []
        self._flushed_at = monotonic()
        self._stated = StatedLength()

    def stop(self) -> None:
        """End the work, whatever it waits for."""
        self.requested = True
        self._room.set()

    def end(self) -> None:
        """Mark the end of the lines; called in the event loop once the thread is done."""
        self._lines.put_nowait("")

    def refuse(self, refusal: RefusedError) -> None:
        """Keep the first reason why there is no answer, and end the work."""
        self.refusal = self.refusal or refusal
        self.stop()

    async def next_lines(self, deadline: float) -> str:
        """The next lines of the answer; empty at its end."""
        try:
            async with asyncio.timeout_at(deadline):
                lines = await self._lines.get()
        except TimeoutError:
            self.refuse(
                RefusedError(
                    408,
                    f"a body is answered in {self._limits.total_seconds:g} s",
                    "it takes longer",
                    "send a shorter sound, or name a stretch of it: ?start=60&duration=60",
                )
            )
            return ""
        while lines and not self._lines.empty():
            if not (more := self._lines.get_nowait()):
                self._lines.put_nowait(more)
                break
            lines += more
        self._sent_bytes += len(lines)
        self._room.set()
        return lines

    def fill(self, content: bytes) -> bool:
        """Write a whole body to the pipe, if it holds so much; it is faster than to feed it."""
        if not self._is_wide or len(content) > PIPE_BYTES:
            return False
        self._check_stated(content)
        os.write(self._write_end, content)
        os.close(self._hand_over(self._write_end))
        self._filled = True
        return True

    def close(self) -> None:
        """Close the pipe of a job that is not run."""
        self._close_unused(self._read_end)
        self.close_unfed()

    def close_unfed(self) -> None:
        """Close the pipe's end where feeding it was cancelled before it began."""
        self._close_unused(self._write_end)

    def _close_unused(self, descriptor: int) -> None:
        if descriptor in self._owned:
            os.close(self._hand_over(descriptor))

    def _hand_over(self, descriptor: int) -> int:
        """An end of the pipe, for the one that closes it from now on."""
        self._owned.remove(descriptor)
        return descriptor

    async def feed(self, sound: bytes | Read, then: After | None) -> None:
        """Write the body to the pipe, until its end or the thread's."""
        transport, protocol = await self._loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(self._hand_over(self._write_end), "wb", 0)
        )
        writer = asyncio.StreamWriter(transport, protocol, None, self._loop)
        transport.set_write_buffer_limits(high=READ_AHEAD_BYTES)
        try:
            if isinstance(sound, bytes):
                writer.write(sound)
            else:
                while (chunk := await sound()) and self._check_stated(chunk):
                    writer.write(chunk)
                    await writer.drain()
        except RefusedError as refusal:
            self.refuse(refusal)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the thread has heard enough
        except Exception as error:
            self.refuse(failed(error))
        finally:
            transport.close()
        if then:
            await then()
            self.stop()

    def _check_stated(self, chunk: bytes) -> bool:
        """Read along, and refuse a body that states more than is answered."""
        self._stated.feed(chunk)
        if refusal := stated_refusal(self._stated, self._limits, end_seconds=self._settings.end_seconds):
            self.refuse(refusal)
        return self.refusal is None

    def run(self) -> None:
        """Decode and classify, in the thread."""
        try:
            for line in self._classified():
                self._put(line)
        except RefusedError as refusal:
            self.refuse(refusal)
        except InvalidAnswerError as error:
            self.refuse(RefusedError(503, "a model's answer is finite", str(error), "see tmgc-listen doctor"))
        except TmgcError as error:
            self.refuse(_undecodable(str(error)))
        except Exception as error:
            self.refuse(failed(error))
        finally:
            self._close_unused(self._read_end)
            self._flush()

    def _put(self, line: str) -> None:
        """Hand a line over; of a body that is there as a whole, some at once, which saves turns of both threads."""
        self._held.append(f"{line}\n")
        if not self._filled or monotonic() - self._flushed_at >= HELD_SECONDS:
            self._flush()

    def _flush(self) -> None:
        while self._put_bytes - self._sent_bytes > self._limits.answer_bytes and not self.requested:
            self._room.clear()
            self._room.wait(0.1)
        lines, self._held, self._flushed_at = "".join(self._held), [], monotonic()
        if lines:
            self._put_bytes += len(lines)
            self._loop.call_soon_threadsafe(self._lines.put_nowait, lines)

    def _classified(self) -> Iterator[str]:
        card, settings = self._model.classifier.card, self._settings
        threshold = settings.listening.threshold_for(card)
        summarizer = Summarizer(self._name, threshold=threshold, pooling=card.pooling)
        source = _Upload(self._name, card.spectrogram.sample_rate, self._blocks)
        for prediction in listen(source, self._model.classifier, settings.listening, notify=_refuse_invalid):
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
        descriptor = self._hand_over(self._read_end)
        decoder = LimitedDecoder(descriptor, self._limits, stop=self)
        opened = False
        try:
            reader = ForwardReader(lambda: decoder)
            opened = True
            stretch = reader.read(begin, settings.end_seconds)
            yield from to_mono(stretch, sample_rate=rate, warn=lambda _: None, skip_seconds=before)
        finally:
            if opened:  # a reader that does not open closes its decoder
                decoder.close()


def _refuse_invalid(event: Event) -> None:
    """A sound is answered as a whole or not at all."""
    if event.event == "invalid answer":
        raise InvalidAnswerError(event.reason)


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


def _check_smooth(windows: int) -> None:
    if windows > MAX_SMOOTH:
        rule = f"uploads are smoothed over at most {MAX_SMOOTH} windows"
        raise RefusedError(422, rule, f"{windows} windows", "take a smaller ?smooth= or a longer ?hop=")


def failed(error: Exception) -> RefusedError:
    """The refusal where the server, and not the client, is at fault."""
    log.error("a sound could not be answered (%s: %s)", type(error).__name__, printable(str(error)))
    return RefusedError(500, "a sound is answered", "this one failed", "see the log of the server")


def _undecodable(reason: str) -> RefusedError:
    known = "WAV, FLAC, MP3, Ogg" + (" or another format that ffmpeg decodes" if has_ffmpeg() else "")
    return RefusedError(415, "a body must be a sound that can be decoded", reason, f"send {known}")
