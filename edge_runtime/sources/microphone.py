"""A microphone that is listened to for months: one that goes away is said, looked for, and picked up again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType

from edge_runtime.audio import DAMAGED, MonoResampler, Samples
from edge_runtime.errors import TmgcError
from edge_runtime.predictions import Event
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources.portaudio import Capture, Device, Taken, find_device, leave_portaudio, start_portaudio_anew

PATIENCE_SECONDS = 5.0
"""A device that gives nothing, or only exact zeros, for so long counts as lost."""

LONGEST_PAUSE_SECONDS = 60.0
"""Pauses between two attempts grow from 1 s to this."""

HANGING_SECONDS = 60.0
"""A device that takes longer to close and open again does not come back in this process."""

_STEP_SECONDS = 0.1
"""Whoever waits for sound looks this often whether it should end."""

_CLOSING_SECONDS = 0.5
"""A device that takes longer to close hangs, and is left behind."""


class Microphone:
    """A device of PortAudio, heard at its own rate, the mean of its channels.

    PortAudio is asked in threads of their own: a device that hangs holds up those, and neither answers nor the end.
    One that hangs for :data:`HANGING_SECONDS` ends it, so that a supervisor can begin anew.

    Parameters
    ----------
    wanted : str, optional
        Number, name or a part of the name; the system's default if None.
    sample_rate : int > 0, Hz
        Of the samples that :meth:`blocks` gives.
    stop : Stop, optional
        Ends it.
    notify : callable, optional
        Is told of ``device lost`` and ``device back``.
    wait_seconds : float >= 0
        How long to wait for the device to be there at first.
    exit_on_loss : bool
        Ends where the device is lost, instead of looking for it.

    Attributes
    ----------
    name : str
        The device's.
    lost : bool
        Whether the device was lost and has given no sound since.
    idle_seconds : float
    warnings : list of str

    Raises
    ------
    TmgcError
        When entered: there is no such device, or it does not open.
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
        if not wait_seconds >= 0:
            raise TmgcError(f"a device can be waited for 0 seconds or longer, got {wait_seconds}: try --wait-device 30")
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
        self._pause_seconds = 0.0
        self._asking: threading.Thread | None = None

    def __enter__(self) -> Microphone:
        until = monotonic() + self._wait_seconds
        while error := self._open():
            if self._stop.requested:
                return self
            if self._asks() or monotonic() >= until:
                self._leave()
                raise error
            self._stop.rest(min(1.0, until - monotonic()))
        if self._capture:
            device = self._capture.device
            self.name = device.name
            self._wanted = _lasting(self._wanted, device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def waiting_seconds(self) -> float:
        """Sound that waits to be taken, seconds."""
        return self._capture.waiting_seconds if self._capture else 0.0

    @property
    def overflows(self) -> int:
        """Times that sound was lost before it was taken."""
        return self._overflows_before + (self._capture.overflows if self._capture else 0)

    def blocks(self) -> Iterator[Samples | None]:
        """Sound as it comes; None where some is missing."""
        while self._capture and not self._stop.requested:
            gone = yield from self._until_lost(self._capture)
            if self._stop.requested or self._exit_on_loss:
                return
            yield None
            self._find_again(rest_first=gone)

    def _until_lost(self, capture: Capture) -> Generator[Samples | None, None, bool]:
        """Its sound; returns whether the device is gone, which it is not where it gives only zeros."""
        stream = MonoResampler(capture.device.sample_rate, self._sample_rate)
        zeros_seconds = 0.0
        while not self._stop.requested:
            taken = self._take(capture)
            if taken is None:
                if not capture.alive or capture.quiet_seconds > PATIENCE_SECONDS:
                    self._lose("it gives nothing any more" if capture.alive else "it is gone")
                    return True
                continue
            if taken.block.any():
                zeros_seconds = 0.0
                self._hear()
            else:
                zeros_seconds += len(taken.block) / capture.device.sample_rate
                if zeros_seconds > max(PATIENCE_SECONDS, self._pause_seconds):
                    self._lose("it gives only zeros; is it muted?")
                    return False
            if taken.after_gap:
                yield None
                stream = MonoResampler(capture.device.sample_rate, self._sample_rate)
            yield stream.take(taken.block)
            if stream.damaged and not self.warnings:
                self.warnings.append(f"{self.name} {DAMAGED}")
        return False

    def _take(self, capture: Capture) -> Taken | None:
        begun = monotonic()
        taken = capture.take(_STEP_SECONDS)
        self.idle_seconds += monotonic() - begun
        return taken

    def _lose(self, reason: str) -> None:
        if not self.lost:
            self.lost = True
            self._tell("device lost", reason)

    def _hear(self) -> None:
        self._pause_seconds = 0.0
        if self.lost:
            self.lost = False
            self._tell("device back", "it gives sound again")

    def _tell(self, event: str, reason: str) -> None:
        if self._notify:
            self._notify(Event(datetime.now(UTC), self.name, event, reason))

    def _find_again(self, *, rest_first: bool) -> None:
        begun = monotonic()
        while not self._stop.requested:
            if rest_first:
                self._stop.rest(self._pause_seconds)
            self._pause_seconds = min(LONGEST_PAUSE_SECONDS, max(1.0, 2 * self._pause_seconds))
            error = self._open()
            if error is None:
                break
            if self._asks() and not self._stop.requested:
                self._tell("device lost", str(error))
                break
            rest_first = True
        self.idle_seconds += monotonic() - begun

    def _open(self) -> Exception | None:
        """Close what is open and open the device; gives what was wrong, also where the end was asked for meanwhile."""
        problems: list[Exception] = []

        def ask() -> None:
            try:
                self._close()
                if again:
                    start_portaudio_anew()
                self._capture = Capture(find_device(self._wanted))
            except Exception as error:
                problems.append(error)

        again = self._asking is not None
        until = monotonic() + HANGING_SECONDS
        self._asking = _in_background(ask)
        while self._asks() and not self._stop.requested and monotonic() < until:
            self._asking.join(_STEP_SECONDS)
        if self._asks():
            return TmgcError(f"a microphone must open: {self.name} hangs. Plug it in again, and start anew")
        return problems[0] if problems else None

    def _leave(self) -> None:
        """Close the device, or leave it behind where it hangs."""
        if not self._asks():
            self._asking = _in_background(self._close)
        if self._asking:
            self._asking.join(_CLOSING_SECONDS)
        if self._asks():
            leave_portaudio()

    def _close(self) -> None:
        if self._capture:
            self._overflows_before += self._capture.overflows
            capture, self._capture = self._capture, None
            capture.close()

    def _asks(self) -> bool:
        return self._asking is not None and self._asking.is_alive()


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _lasting(wanted: str | None, device: Device) -> str | None:
    """What still means the device after PortAudio has numbered all anew, and ALSA its cards: its name without them."""
    return device.name.partition(" (hw:")[0] if wanted is not None and wanted.isdecimal() else wanted
