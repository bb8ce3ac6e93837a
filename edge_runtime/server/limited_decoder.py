"""Sound under limits: what a body states is checked before it is decoded, and what is decoded is counted."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge_runtime.decoding.pcm import Block, Stop
from edge_runtime.decoding.stream import StreamDecoder
from edge_runtime.server.bodies import Limits
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.stated_length import StatedLength


def stated_refusal(stated: StatedLength, limits: Limits, *, end_seconds: float) -> RefusedError | None:
    """The refusal of a body that states more than is answered, up to the end of the stretch; None for others."""
    seconds = min(stated.seconds, end_seconds)
    samples = seconds * stated.samples_per_second
    if seconds > limits.seconds:
        return _too_long(limits, f"it states {stated.seconds:.0f} s")
    if samples > limits.samples + 1:  # seconds are rounded
        return _too_long(limits, f"it states {samples:.0f} samples")
    return None


class LimitedDecoder(StreamDecoder):
    """Decodes a body as long as it exceeds no limit, whichever stretch of it is asked for; closes its descriptor.

    Parameters
    ----------
    descriptor : int
    limits : Limits
    stop : Stop
        Ends the work.
    """

    def __init__(self, descriptor: int, limits: Limits, *, stop: Stop) -> None:
        super().__init__(descriptor, stop=stop, owned=True, kept_bytes=limits.body_bytes)
        self._limits = limits
        self._ending = stop

    def blocks(self) -> Iterator[Block]:
        """Decode to the end, or to a limit: a stretch that ends there is answered.

        Raises
        ------
        RefusedError
            There is more, or the format is refused.
        TmgcError
            There is nothing, or nothing that can be decoded.
        """
        limits, seconds, samples = self._limits, 0.0, 0
        for block in super().blocks():
            if self._ending.requested:
                return
            self._check_format(block)
            frames, channels = block.samples.shape
            in_time = math.ceil((limits.seconds - seconds) * block.rate)
            in_memory = (limits.samples - samples) // channels
            if (most := min(in_time, in_memory)) < frames:
                yield Block(block.rate, block.samples[: most + 1])  # one more: nothing of a stretch is missing
                found = f"{limits.seconds:g} s" if in_time <= in_memory else f"{limits.samples} samples"
                raise _too_long(limits, f"more than {found}")
            seconds += frames / block.rate
            samples += block.samples.size
            yield block

    def _check_format(self, block: Block) -> None:
        (lowest, highest), channels = self._limits.rates, block.samples.shape[1]
        if not lowest <= block.rate <= highest:
            rule = f"a sound has a sample rate of {lowest} to {highest} Hz"
            raise RefusedError(422, rule, f"{block.rate} Hz", "resample it: ffmpeg -i FILE -ar 44100 song.flac")
        if channels > self._limits.channels:
            rule = f"a sound has at most {self._limits.channels} channels"
            raise RefusedError(422, rule, f"{channels} channels", "mix it down: ffmpeg -i FILE -ac 2 song.flac")


def _too_long(limits: Limits, found: str) -> RefusedError:
    """The refusal of a sound that is too long once it is decoded."""
    rule = f"a sound has at most {limits.seconds:g} s and {limits.samples} samples"
    return RefusedError(413, rule, found, "name a stretch of it, e.g. ?start=60&duration=60, or send a part")
