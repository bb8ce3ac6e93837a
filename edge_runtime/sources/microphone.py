"""A microphone for months of listening: a lost device is reported, searched for and opened again."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import CANCELLED, DAMAGED, MonoResampler, Samples
from edge_runtime.errors import TmgcError
from edge_runtime.predictions import Event
from edge_runtime.shutdown import POLL_SECONDS, Shutdown
from edge_runtime.sources.portaudio import (
    Capture,
    CapturedBlock,
    Device,
    find_device,
    restart_portaudio,
    skip_portaudio_exit,
)

log = logging.getLogger("tmgc.microphone")

LOST_AFTER_SECONDS = 5.0
"""A device that delivers no samples, or one and the same value, for this long counts as lost."""

LONGEST_PAUSE_SECONDS = 60.0
"""Pauses between two attempts to open the device grow from 1 s to this."""

HANGING_SECONDS = 60.0
"""A device that takes longer to close and open again hangs; only a new process can open it."""

WARNING_PAUSE_SECONDS = 60.0
"""Lost samples are reported at once, and not again before this time has passed."""

_CLOSING_SECONDS = 0.5
"""A device that takes longer to close hangs, and is left open."""


def check_wait(seconds: float) -> None:
    """Refuse a wait for a device that is negative or not a number."""
    if not seconds >= 0:
        raise TmgcError(f"the wait for a device must be 0 seconds or longer, got {seconds}: try --wait-device 30")


class Microphone:
    """An input device of PortAudio as a source of mono samples; a context manager.

    PortAudio is called in background threads: a device that hangs blocks those, and neither predictions nor the end.
    One that hangs for :data:`HANGING_SECONDS` ends the source, so that a supervisor can start a new process.
    File descriptor 2 is silent while PortAudio works or hangs; a program whose own standard error must arrive also then
    calls :func:`edge_runtime.native_stderr.detach_python_stderr` first.

    Parameters
    ----------
    wanted : str, optional
        Number, name or a part of the name; the system's default if None.
    sample_rate : int > 0, Hz
        Rate of the samples that :meth:`blocks` yields; the device is read at its own rate.
    stop : Shutdown, optional
        Ends it.
    notify : callable, optional
        Called with each ``device lost`` and ``device back`` event.
    wait_seconds : float >= 0
        How long to wait for the device when entered.
    exit_on_loss : bool
        End when the device is lost, instead of searching for it.

    Attributes
    ----------
    name : str
        The device's name.
    lost : bool
        Whether the device was lost and has delivered nothing since.
    idle_seconds : float
        Time that the reader has waited for samples, seconds.
    warnings : list of str

    Raises
    ------
    TmgcError
        When entered: no device matches, or it does not open.
    """

    def __init__(
        self,
        wanted: str | None = None,
        *,
        sample_rate: int,
        stop: Shutdown | None = None,
        notify: Callable[[Event], None] | None = None,
        wait_seconds: float = 0.0,
        exit_on_loss: bool = False,
    ) -> None:
        check_wait(wait_seconds)
        self.name = wanted or "microphone"
        self.lost = False
        self.idle_seconds = 0.0
        self.warnings: list[str] = []
        self._wanted = wanted
        self._sample_rate = sample_rate
        self._stop = stop or Shutdown()
        self._notify = notify
        self._wait_seconds = wait_seconds
        self._exit_on_loss = exit_on_loss
        self._capture: Capture | None = None
        self._overflows_before = 0
        self._warned_at = -math.inf
        self._pause_seconds = 0.0
        self._worker: threading.Thread | None = None

    def __enter__(self) -> Microphone:
        until = monotonic() + self._wait_seconds
        while error := self._open():
            if self._stop.requested:
                return self
            if self._busy or monotonic() >= until:
                self._shut()
                raise error
            self._stop.rest(min(1.0, until - monotonic()))
        if self._capture:
            device = self._capture.device
            self.name = device.name
            self._wanted = _stable_name(self._wanted, device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shut()

    @property
    def waiting_seconds(self) -> float:
        """Samples in the capture queue, seconds."""
        return self._capture.waiting_seconds if self._capture else 0.0

    @property
    def overflows(self) -> int:
        """How often samples were lost before they were read."""
        return self._overflows_before + (self._capture.overflows if self._capture else 0)

    def blocks(self) -> Iterator[Samples | None]:
        """Mono samples as they arrive; None where some are missing."""
        while self._capture and not self._stop.requested:
            gone = yield from self._until_lost(self._capture)
            if self._stop.requested or self._exit_on_loss:
                return
            yield None
            self._reopen(pause_first=gone)

    def _until_lost(self, capture: Capture) -> Generator[Samples | None, None, bool]:
        """Its samples; returns whether the device is gone, which one that delivers a constant is not."""
        stream = MonoResampler(capture.device.sample_rate, self._sample_rate)
        constant = _Constant()
        while not self._stop.requested:
            captured = self._take(capture)
            if captured is None:
                if not capture.alive or capture.stalled_seconds > LOST_AFTER_SECONDS:
                    yield from _rest(stream)
                    self._report_loss("it delivers no samples" if capture.alive else "it is gone")
                    return True
                continue
            if not constant.goes_on(captured.samples):
                self._report_return()
            elif constant.frames / capture.device.sample_rate > max(LOST_AFTER_SECONDS, self._pause_seconds):
                self._report_loss("it delivers no sound, only one constant value; is it muted?")
                return False
            if captured.after_gap:
                self._warn_of_lost_samples()
                yield from _rest(stream)
                yield None
            yield stream.process(captured.samples)
            self._warn_of(stream)
        return False

    def _warn_of(self, stream: MonoResampler) -> None:
        for found, what in ((stream.damaged, DAMAGED), (stream.cancelled, CANCELLED)):
            line = f"{self.name} {what}"
            if found and line not in self.warnings:
                self.warnings.append(line)

    def _warn_of_lost_samples(self) -> None:
        """A window ends at each gap: where they are frequent, none is ever complete, and nothing is predicted."""
        if monotonic() - self._warned_at >= WARNING_PAUSE_SECONDS:
            self._warned_at = monotonic()
            log.warning(
                "%s: samples are lost (%d overflows): the machine is too slow, or the device fails",
                self.name,
                self.overflows,
            )

    def _take(self, capture: Capture) -> CapturedBlock | None:
        begun = monotonic()
        captured = capture.take(POLL_SECONDS)
        self.idle_seconds += monotonic() - begun
        return captured

    def _report_loss(self, reason: str) -> None:
        if not self.lost:
            self.lost = True
            self._report("device lost", reason)

    def _report_return(self) -> None:
        self._pause_seconds = 0.0
        if self.lost:
            self.lost = False
            self._report("device back", "it delivers samples again")

    def _report(self, event: str, reason: str) -> None:
        if self._notify:
            self._notify(Event(datetime.now(UTC), self.name, event, reason))

    def _reopen(self, *, pause_first: bool) -> None:
        """Try until the device is open, with growing pauses, or until it hangs."""
        begun = monotonic()
        while not self._stop.requested:
            if pause_first:
                self._stop.rest(self._pause_seconds)
            self._pause_seconds = min(LONGEST_PAUSE_SECONDS, max(1.0, 2 * self._pause_seconds))
            error = self._open()
            if error is None:
                break
            if self._busy and not self._stop.requested:
                self._report("device lost", str(error))
                break
            pause_first = True
        self.idle_seconds += monotonic() - begun

    def _open(self) -> Exception | None:
        """Close what is open and open the device; returns the error, also one of an attempt that was interrupted."""
        errors: list[Exception] = []
        restart = self._worker is not None

        def work() -> None:
            try:
                self._close()
                if restart:
                    restart_portaudio()
                self._capture = Capture(find_device(self._wanted))
            except Exception as error:
                errors.append(error)

        until = monotonic() + HANGING_SECONDS
        self._worker = _in_background(work)
        while self._busy and not self._stop.requested and monotonic() < until:
            self._worker.join(POLL_SECONDS)
        if self._busy:
            return TmgcError(f"a microphone must open: {self.name} hangs. Plug it in again, and start anew")
        return errors[0] if errors else None

    def _shut(self) -> None:
        """Close the device, or leave it open where it hangs."""
        if not self._busy:
            self._worker = _in_background(self._close)
        if self._worker:
            self._worker.join(_CLOSING_SECONDS)
        if self._busy:
            skip_portaudio_exit()

    def _close(self) -> None:
        if self._capture:
            self._overflows_before += self._capture.overflows
            capture, self._capture = self._capture, None
            capture.close()

    @property
    def _busy(self) -> bool:
        """Whether PortAudio still works, or hangs, in the background."""
        return self._worker is not None and self._worker.is_alive()


class _Constant:
    """How long a device has delivered one and the same value: zero, or the offset of a converter that hears nothing."""

    def __init__(self) -> None:
        self.frames = 0
        self._value: NDArray[np.float32] | None = None

    def goes_on(self, samples: NDArray[np.float32]) -> bool:
        """Whether the samples are all the value of those before, which are counted."""
        if not len(samples):
            return True
        value = samples[0] if self._value is None else self._value
        self._value = samples[-1].copy()
        if (samples != value).any():
            self.frames = 0
            return False
        self.frames += len(samples)
        return True


def _rest(stream: MonoResampler) -> Iterator[Samples]:
    """What a stream still holds when samples are missing; it goes on with the offset that it knows."""
    rest = stream.flush()
    if len(rest):
        yield rest


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _stable_name(wanted: str | None, device: Device) -> str | None:
    """What selects the device also after PortAudio and ALSA have numbered anew: its name without the card's number."""
    return device.name.partition(" (hw:")[0] if wanted is not None and wanted.isdecimal() else wanted
