"""Stretches of a decoder that only goes forward, and downmix across changes of rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge_runtime import TmgcError
from edge_runtime.decoding.pcm import Block
from edge_runtime.decoding.stream import ForwardReader, to_mono


class Counting:
    """A decoder of the numbers from 0 on, at 100 Hz."""

    idle_seconds = 0.0
    opened = 0

    def __init__(self, frames: int = 1000) -> None:
        Counting.opened += 1
        self.warnings: list[str] = []
        self._frames = frames

    def blocks(self) -> Iterator[Block]:
        """Blocks of 30 frames."""
        if not self._frames:
            raise TmgcError("there is nothing")
        for start in range(0, self._frames, 30):
            yield Block(100, np.arange(start, min(start + 30, self._frames), dtype=np.float32)[:, None])

    def close(self) -> None:
        """Nothing to close."""


def read(reader: ForwardReader, start: float, end: float) -> list[float]:
    return [float(sample) for block in reader.read(start, end) for sample in block.samples[:, 0]]


def test_stretches_are_exact_and_are_decoded_once_in_order_of_time() -> None:
    Counting.opened = 0
    reader = ForwardReader(Counting)
    assert read(reader, 0.0, 0.5) == list(range(50))
    assert read(reader, 0.5, 0.55) == list(range(50, 55))
    assert read(reader, 3.0, 3.02) == [300, 301]
    assert not reader.ended
    assert Counting.opened == 1
    assert read(reader, 0.1, 0.12) == [10, 11]
    assert Counting.opened == 2
    assert read(reader, 9.98, 12.0) == [998, 999]
    assert reader.ended
    assert reader.position_seconds == pytest.approx(10)
    assert read(reader, 20.0, 21.0) == []


def test_what_cannot_be_decoded_is_refused_when_it_is_opened() -> None:
    with pytest.raises(TmgcError, match="there is nothing"):
        ForwardReader(lambda: Counting(0))


def test_a_decoder_that_does_not_begin_is_closed_whatever_the_reason() -> None:
    class Failing(Counting):
        closed = False

        def blocks(self) -> Iterator[Block]:
            raise OSError

        def close(self) -> None:
            self.closed = True

    decoder = Failing()
    with pytest.raises(OSError):
        ForwardReader(lambda: decoder)
    assert decoder.closed


def test_a_change_of_rate_and_channels_keeps_the_length() -> None:
    blocks = [Block(8_000, np.full((8_000, 1), 0.5, np.float32)), Block(44_100, np.full((44_100, 2), 0.5, np.float32))]
    mono = np.concatenate(list(to_mono(blocks, sample_rate=22_050, warn=lambda _: None)))
    assert len(mono) == pytest.approx(2 * 22_050, abs=2)
