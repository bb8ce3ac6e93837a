"""PCM from pipes: formats within their limits, and WAVs one after another."""

from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest
import soundfile

from edge_runtime import TmgcError
from edge_runtime.decoding.pcm import Block, PcmFormat, PipeReader, decode_pcm

RATE = 8_000


def wav(seconds: float, *, rate: int = RATE, channels: int = 1, length: int | None = None) -> bytes:
    """A WAV of a constant, whose header may state another length."""
    content = io.BytesIO()
    soundfile.write(content, np.full((round(seconds * rate), channels), 0.25), rate, format="WAV")
    sound = content.getvalue()
    return sound if length is None else sound[:40] + length.to_bytes(4, "little") + sound[44:]


def decode(content: bytes, *, piece: int = 4096) -> tuple[list[Block], list[str]]:
    """What a pipe that delivers small pieces is decoded to, with the warnings."""
    given, taken = os.pipe()

    def write() -> None:
        with os.fdopen(taken, "wb", buffering=0) as file:
            for start in range(0, len(content), piece):
                file.write(content[start : start + piece])

    writer = threading.Thread(target=write)
    writer.start()
    warnings: list[str] = []
    blocks = list(decode_pcm(PipeReader(given), None, warn=warnings.append))
    writer.join()
    os.close(given)
    return blocks, warnings


@pytest.mark.parametrize("rate", [999, 384_001])
def test_a_rate_is_one_of_music(rate: int) -> None:
    with pytest.raises(TmgcError, match="between 1000 and 384000 Hz"):
        PcmFormat(rate, 1, "s16")
    PcmFormat(1_000, 1, "s16")
    PcmFormat(384_000, 256, "s16")


@pytest.mark.parametrize("piece", [7, 4096, 65_536])
@pytest.mark.parametrize("length", [None, 0, 0xFFFFFFFF])
def test_wavs_follow_each_other_with_their_own_rates_and_channels(length: int | None, piece: int) -> None:
    content = wav(1.5, length=length) + wav(0.5, rate=16_000, channels=2, length=length) + wav(1, length=length)
    blocks, warnings = decode(content, piece=piece)
    seconds: dict[tuple[int, int], float] = {}
    for block in blocks:
        kind = (block.rate, block.samples.shape[1])
        seconds[kind] = seconds.get(kind, 0) + len(block.samples) / block.rate
        np.testing.assert_allclose(block.samples, 0.25, atol=1e-4)
    assert seconds == pytest.approx({(RATE, 1): 2.5, (16_000, 2): 0.5})
    assert not warnings


def test_a_wav_that_ends_early_is_told() -> None:
    blocks, warnings = decode(wav(2)[: 44 + 2 * RATE])
    assert sum(len(block.samples) for block in blocks) == RATE
    assert warnings == ["is truncated: 1.00 s could be decoded"]


def test_a_wav_whose_length_is_too_small_is_read_to_its_end() -> None:
    blocks, warnings = decode(wav(2, length=1000))
    assert sum(len(block.samples) for block in blocks) == 2 * RATE
    assert not warnings


def test_what_follows_a_wav_and_cannot_be_decoded_is_told() -> None:
    damaged = bytearray(wav(1))
    damaged[20] = 0x55
    blocks, warnings = decode(wav(1) + damaged)
    assert sum(len(block.samples) for block in blocks) == RATE
    assert len(warnings) == 1
    assert "goes on with a WAV that cannot be decoded" in warnings[0]


def test_a_wait_has_a_limit() -> None:
    given, taken = os.pipe()
    with pytest.raises(TmgcError, match=r"no sound has arrived for 0\.2 s"):
        PipeReader(given, patience_seconds=0.2).read(1)
    os.close(given)
    os.close(taken)
