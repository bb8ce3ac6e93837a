"""Every PCM format is read from a pipe without a change, however it ends."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import TmgcError
from edge_runtime.audio import Samples, mono_recording
from edge_runtime.decoding.pcm import PcmFormat, raw_format
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources.stdin import StandardInput
from tests.conftest import tone

RATE = 22_050
RAW_SUBTYPES = {"s16": "PCM_16", "s24": "PCM_24", "s32": "PCM_32", "f32": "FLOAT"}


@contextmanager
def pipe(content: bytes) -> Iterator[int]:
    """A pipe that delivers the content in small pieces, and ends."""
    given, taken = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(taken, "wb", buffering=0) as file:
            for start in range(0, len(content), 7001):
                file.write(content[start : start + 7001])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield given
    finally:
        os.close(given)
        writer.join()


def read_all(content: bytes, raw: PcmFormat | None = None) -> Samples:
    with pipe(content) as descriptor:
        return np.concatenate(list(StandardInput(descriptor, sample_rate=RATE, stop=Shutdown(), raw=raw).blocks()))


def sound(channels: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-0.9, 0.9, (30_000, channels)).astype(np.float32)


def wav(subtype: str = "PCM_16", *, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound(), RATE, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_a_wav_is_what_it_is_as_a_file(subtype: str, form: str) -> None:
    content = wav(subtype, form=form)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_allclose(read_all(content), mono_recording(expected, rate=RATE, sample_rate=RATE), atol=1e-6)


@pytest.mark.parametrize("sample", RAW_SUBTYPES)
def test_raw_samples_are_decoded_by_the_named_format(sample: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, sound(), RATE, format="RAW", subtype=RAW_SUBTYPES[sample])
    samples = read_all(file.getvalue(), raw_format(f"{RATE},2,{sample}"))
    np.testing.assert_allclose(samples, mono_recording(sound(), rate=RATE, sample_rate=RATE), atol=1e-4)


def with_length(content: bytes, length: int) -> bytes:
    at = content.index(b"data") + 4
    return content[:at] + length.to_bytes(4, "little") + content[at + 4 :]


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_is_read_to_its_end(length: int) -> None:
    assert len(read_all(with_length(wav(), length))) == 30_000


def test_what_stands_behind_the_sound_of_a_wav_is_no_sound() -> None:
    assert len(read_all(wav() + b"LIST" + bytes(1000))) == 30_000


@pytest.mark.parametrize("missing", [1, 3, 50_001])
def test_an_end_in_the_middle_of_a_sample_is_an_end(missing: int) -> None:
    content = wav()
    assert len(read_all(content[:-missing])) == 30_000 - -(-missing // 4)


def test_the_louder_of_inverted_channels_is_heard_without_offset_and_with_one_warning() -> None:
    file = io.BytesIO()
    music = tone(4, sample_rate=RATE, level=0.2)
    soundfile.write(file, np.stack([-0.9 * music - 0.3, music + 0.1], axis=1), RATE, subtype="PCM_24", format="WAV")
    with pipe(file.getvalue()) as descriptor:
        source = StandardInput(descriptor, sample_rate=RATE, stop=Shutdown())
        samples = np.concatenate(list(source.blocks()))
    np.testing.assert_allclose(samples, mono_recording(music[:, None], rate=RATE, sample_rate=RATE), atol=1e-4)
    assert source.warnings == [
        "standard input has channels that cancel each other (one is inverted): the louder one is used instead of their "
        "mean"
    ]


def test_invalid_samples_become_silence_with_a_warning() -> None:
    broken = np.full(1000, np.nan, "<f4")
    with pipe(broken.tobytes()) as descriptor:
        source = StandardInput(descriptor, sample_rate=RATE, stop=Shutdown(), raw=raw_format(f"{RATE},1,f32"))
        samples = np.concatenate(list(source.blocks()))
    assert len(samples) == 1000
    assert not samples.any()
    assert len(source.warnings) == 1


def test_a_pipe_that_delivers_nothing_ends_when_requested() -> None:
    given, taken = os.pipe()
    stop = Shutdown()
    threading.Timer(0.2, stop.request).start()
    assert list(StandardInput(given, sample_rate=RATE, stop=stop).blocks()) == []
    os.close(given)
    os.close(taken)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"no music\n" * 100, "must contain audio"),
        (wav()[:30], "header is damaged"),
        (wav()[:12] + b"junk\xff\xff\xff\x7f" + bytes(100), "header is damaged"),
        (wav()[:20] + b"\x55" + wav()[21:], "format 85 with 16 bits"),
        (wav()[:24] + bytes(4) + wav()[28:], "a sample rate must lie between"),
        (wav()[:22] + bytes(2) + wav()[24:], "1 to 256 channels"),
    ],
)
def test_what_is_no_wav_is_refused_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(TmgcError, match=message) as caught:
        read_all(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "44100", "44100,1", "44100,1,s8", "x,1,s16", "44100,-1,s16", "44100,1,s16,1"])
def test_a_raw_format_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(TmgcError, match="--raw is RATE,CHANNELS,FORMAT"):
        raw_format(text)
