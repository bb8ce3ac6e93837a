"""Odd files of WAV, RF64, W64, AIFF, AU and CAF: every sample format, and sizes that are unknown, wrong or absurd."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tests.odd_files.encoders import ffmpeg, sound_file, sox, wav
from tests.odd_files.ladder import ladder
from tests.odd_files.odd_file import (
    OddFile,
    accounted,
    cut,
    heard_all,
    joined,
    less,
    odd,
    patched,
    refused,
    told,
    whole,
    whole_or_told,
)

RATE = 8_000
_UNKNOWN = 0xFFFFFFFF


def chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    """A chunk of RIFF, padded to an even length; ``size`` is what it says of itself."""
    return name + struct.pack("<I", len(content) if size is None else size) + content + bytes(len(content) % 2)


def wav_format(tag: int, channels: int, rate: int, bits: int, extra: bytes = b"") -> bytes:
    """The chunk ``fmt`` of a WAV."""
    block = max(1, channels * bits // 8) & 0xFFFF
    fields = (tag, channels, rate & _UNKNOWN, rate * block & _UNKNOWN, block, bits)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *fields) + extra)


def riff(*chunks: bytes, size: int | None = None, name: bytes = b"RIFF") -> bytes:
    """A WAV of these chunks; ``size`` is what it says of itself."""
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if size is None else size) + body


def samples16(seconds: float = 6.0, *, rate: int = RATE, channels: int = 1, first: int = 0) -> bytes:
    """The ladder as 16-bit samples."""
    return (ladder(seconds, rate, channels=channels, first=first) * 32_767).astype("<i2").tobytes()


def _plain(
    *before: bytes, after: bytes = b"", riff_size: int | None = None, data_size: int | None = None
) -> Callable[[], bytes]:
    """A WAV with chunks before and after its data, and with sizes that it says."""
    return lambda: riff(
        wav_format(1, 1, RATE, 16), *before, chunk(b"data", samples16(), size=data_size), after, size=riff_size
    )


def _of_rate(rate: int, seconds: float = 6.0) -> Callable[[], bytes]:
    """A WAV of a rate that may be absurd: its samples are those of 8 kHz."""
    return lambda: riff(wav_format(1, 1, rate, 16), chunk(b"data", samples16(seconds)))


def _of_channels(channels: int) -> Callable[[], bytes]:
    return lambda: riff(wav_format(1, channels, RATE, 16), chunk(b"data", samples16()))


def _extensible(bits: int, valid: int, code: int = 1) -> Callable[[], bytes]:
    guid = struct.pack("<H", code) + bytes.fromhex("000000001000800000aa00389b71")
    extra = struct.pack("<HHI", 22, valid, 4) + guid
    scaled = ladder(6.0, RATE)[:, 0].astype(np.float64) * (2 ** (bits - 1) - 1)
    content = scaled.astype("<i4").tobytes() if bits == 32 else samples16()
    return lambda: riff(wav_format(0xFFFE, 1, RATE, bits, extra), chunk(b"data", content))


def _of_floats(samples: NDArray[np.float32]) -> Callable[[], bytes]:
    """A WAV of 32-bit floating point."""
    channels = samples.shape[1]
    return lambda: riff(wav_format(3, channels, RATE, 32), chunk(b"data", samples.astype("<f4").tobytes()))


def _changed(changes: dict[int, float]) -> NDArray[np.float32]:
    samples = ladder(6.0, RATE)
    for index, value in changes.items():
        samples[index : index + 20] = value
    return samples


def _big_endian() -> bytes:
    """A RIFX: a WAV whose numbers are big-endian."""
    samples = np.frombuffer(samples16(), "<i2").astype(">i2").tobytes()
    form = b"fmt " + struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVE" + form + b"data" + struct.pack(">I", len(samples)) + samples
    return b"RIFX" + struct.pack(">I", len(body)) + body


def _inverted() -> NDArray[np.float32]:
    return ladder(6.0, RATE, channels=2) * np.array([1, -1], np.float32)


def _one_sided() -> NDArray[np.float32]:
    return ladder(6.0, RATE, channels=2) * np.array([1, 0], np.float32)


_LIST = chunk(b"LIST", b"INFOIART" + struct.pack("<I", 12) + b"Baris Manco\0")
_LIST_UNPADDED = b"LIST" + struct.pack("<I", 7) + b"INFOabc"
_pcm = _plain()
_aiff, _au, _caf, _w64, _rf64 = (
    partial(sound_file, form, "PCM_16", rate=RATE) for form in ("AIFF", "AU", "CAF", "W64", "RF64")
)


def _aiff_of_rate(rate: int) -> Callable[[], bytes]:
    """An AIFF whose COMM chunk says another rate, as an 80-bit floating-point number."""

    def changed() -> bytes:
        content = _aiff()
        at = content.find(b"COMM") + 16
        exponent = max(0, rate.bit_length() - 1)
        extended = struct.pack(">HQ", 16383 + exponent, rate << 63 - exponent) if rate else bytes(10)
        return content[:at] + extended + content[at + 10 :]

    return changed


WAV_FILES: tuple[OddFile, ...] = (
    *(
        odd(f"{subtype}.wav", partial(sound_file, "WAV", subtype, rate=RATE), whole())
        for subtype in (
            "PCM_U8",
            "PCM_16",
            "PCM_24",
            "PCM_32",
            "FLOAT",
            "DOUBLE",
            "ULAW",
            "ALAW",
            "IMA_ADPCM",
            "MS_ADPCM",
        )
    ),
    odd("GSM610.wav", partial(sound_file, "WAV", "GSM610", rate=RATE), whole(), without_ffmpeg=less()),
    odd("wavex.wav", partial(sound_file, "WAVEX", "PCM_24", channels=2), whole()),
    odd("24 of 32 bits.wav", _extensible(32, 24), whole()),
    odd("16 bits, extensible.wav", _extensible(16, 16), whole()),
    odd("5.1.wav", partial(ffmpeg, "-ac", "6", "-c:a", "pcm_s24le", form="wav"), whole()),
    odd(
        "64 bit integers.wav",
        partial(ffmpeg, "-c:a", "pcm_s64le", form="wav"),
        whole_or_told(at_least=6),
        without_ffmpeg=accounted(),
    ),
    odd(
        "g726.wav",
        partial(ffmpeg, "-c:a", "g726", "-b:a", "32k", form="wav", rate=8_000),
        whole_or_told(at_least=5),
        without_ffmpeg=accounted(),
    ),
    odd("rifx.wav", _big_endian, whole()),
    odd("rf64.wav", _rf64, whole()),
    odd("rf64 by ffmpeg.wav", partial(ffmpeg, "-rf64", "always", form="wav"), whole()),
    odd("w64.w64", _w64, whole()),
    odd("w64 called.wav", partial(ffmpeg, form="w64"), whole()),
    # lengths
    odd("unknown length.wav", _plain(riff_size=_UNKNOWN, data_size=_UNKNOWN), whole()),
    odd("unknown length as 0.wav", _plain(riff_size=0, data_size=0), whole_or_told(at_least=0)),
    odd("unknown length as 7fffffff.wav", _plain(riff_size=0x7FFFFFFF, data_size=0x7FFFFFDB), heard_all()),
    odd("unknown length as 7fff0000.wav", _plain(riff_size=0x7FFF0024, data_size=0x7FFF0000), heard_all()),
    odd("riff size too small.wav", _plain(riff_size=100), heard_all()),
    odd("riff size too large.wav", _plain(riff_size=10_000_000), heard_all()),
    odd("data size a half.wav", _plain(data_size=48_000), whole_or_told(at_least=3)),
    odd("data size doubled.wav", _plain(data_size=192_000, riff_size=192_036), told(6, 6)),
    odd("half a sample at the end.wav", lambda: _pcm() + b"\1", heard_all()),
    odd(
        "two joined.wav",
        lambda: _pcm() + riff(wav_format(1, 1, RATE, 16), chunk(b"data", samples16(3, first=6))),
        whole_or_told(9, at_least=6),
    ),
    odd("two of two rates.wav", joined(_pcm, partial(wav, 3.0, 22_050, first=6)), whole_or_told(9, at_least=6)),
    odd("cut at 25.wav", cut(_pcm, 25), told(1, 2)),
    odd("cut at 50.wav", cut(_pcm, 50), told(2, 3)),
    odd("cut at 99.wav", cut(_pcm, 99), told(5, 6)),
    odd("cut at 50, stereo 24 bit.wav", cut(partial(sound_file, "WAV", "PCM_24", channels=2), 50), told(2, 3)),
    odd("cut at 50, adpcm.wav", cut(partial(sound_file, "WAV", "IMA_ADPCM"), 50), told(2, 3)),
    odd("cut at 50, rf64.wav", cut(_rf64, 50), told(2, 3)),
    odd("cut at 99, rf64.wav", cut(_rf64, 99), told(5, 6)),
    odd("cut at 50.w64", cut(_w64, 50), told(2, 3)),
    odd("cut at 99.w64", cut(_w64, 99), told(5, 6)),
    odd("2.2 s.wav", partial(wav, 2.2), whole(2.2)),
    odd("2.0 s.wav", partial(wav, 2.0), whole(2.0)),
    odd("1.9 s.wav", partial(wav, 1.9), whole(1.9)),
    # chunks
    odd("list before.wav", _plain(_LIST), whole()),
    odd("list after.wav", _plain(after=_LIST), whole()),
    odd("odd list without padding.wav", _plain(_LIST_UNPADDED), accounted()),
    odd("junk before.wav", _plain(chunk(b"JUNK", bytes(100_000))), whole()),
    odd("4 MB junk before.wav", _plain(chunk(b"JUNK", bytes(4_000_000))), whole()),
    odd("odd junk before.wav", _plain(chunk(b"bext", bytes(603))), whole()),
    odd("id3 after.wav", _plain(after=chunk(b"id3 ", b"ID3\3\0\0\0\0\0\0" + bytes(10))), whole()),
    odd("noise after.wav", lambda: _pcm() + bytes(range(256)) * 40, heard_all()),
    odd("fmt after data.wav", lambda: riff(chunk(b"data", samples16()), wav_format(1, 1, RATE, 16)), accounted()),
    odd("no fmt.wav", lambda: riff(chunk(b"data", samples16())), refused()),
    odd("no data.wav", lambda: riff(wav_format(1, 1, RATE, 16)), refused()),
    odd("no samples.wav", lambda: riff(wav_format(1, 1, RATE, 16), chunk(b"data", b"")), accounted(0)),
    odd("half a header.wav", cut(_pcm, 0.02), refused()),
    odd("chunk of 4 GB.wav", _plain(chunk(b"JUNK", b"", size=0xFFFFFFF0)), accounted()),
    odd("id3v2 in front.wav", lambda: b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + _pcm(), whole_or_told(at_least=0)),
    # absurd formats
    odd("no channels.wav", _of_channels(0), refused()),
    odd("60000 channels.wav", _of_channels(60_000), refused()),
    odd("0 Hz.wav", _of_rate(0), refused()),
    odd("1 Hz.wav", _of_rate(1), refused("Hz")),
    odd("2 Hz.wav", _of_rate(2), refused("Hz")),
    odd("500 Hz.wav", _of_rate(500), refused("Hz")),
    odd("2 kHz.wav", partial(sound_file, "WAV", "PCM_16", rate=2_000, seconds=5.0), whole(5.0)),
    odd("384 kHz.wav", partial(sound_file, "WAV", "PCM_16", rate=384_000, seconds=2.5), whole(2.5)),
    odd("4 GHz.wav", _of_rate(4_000_000_000), refused()),
    odd("0 bits.wav", lambda: riff(wav_format(1, 1, RATE, 0), chunk(b"data", samples16())), refused()),
    odd("unknown codec.wav", lambda: riff(wav_format(0x4242, 1, RATE, 16), chunk(b"data", samples16())), refused()),
    # samples
    odd("not numbers.wav", _of_floats(_changed({9_000: np.nan})), told(6, 6, "invalid samples")),
    odd("infinite.wav", _of_floats(_changed({9_000: np.inf, 20_000: -np.inf})), told(6, 6, "invalid samples")),
    odd("1e30.wav", _of_floats(_changed({9_000: 1e30})), told(6, 6, "invalid samples")),
    odd("nothing but nan.wav", _of_floats(np.full((6 * RATE, 1), np.nan, np.float32)), told(0, 0, "invalid samples")),
    odd("offset of 0.3.wav", _of_floats(ladder(6.0, RATE) + np.float32(0.3)), whole()),
    odd(
        "offset of -0.03, 8 bit.wav",
        lambda: riff(wav_format(1, 1, RATE, 8), chunk(b"data", (124 + 90 * ladder(6.0, RATE)).astype("u1").tobytes())),
        whole(),
    ),
    odd("one channel inverted.wav", _of_floats(_inverted()), heard_all()),
    odd("one channel silent.wav", _of_floats(_one_sided()), whole()),
    odd("silence.wav", _of_floats(np.zeros((6 * RATE, 1), np.float32)), accounted(0)),
)

PCM_FILES: tuple[OddFile, ...] = (
    odd("aiff.aiff", _aiff, whole()),
    odd("aiff.aif", partial(sound_file, "AIFF", "PCM_24", channels=2), whole()),
    odd("aifc, little-endian.aifc", partial(ffmpeg, "-c:a", "pcm_s16le", form="aiff"), whole()),
    odd("aifc, float.aif", partial(sound_file, "AIFF", "FLOAT"), whole()),
    odd("aifc, ulaw.aif", partial(sound_file, "AIFF", "ULAW", rate=RATE), whole()),
    odd("au.au", _au, whole()),
    odd("au.snd", partial(sound_file, "AU", "ULAW", rate=RATE), whole()),
    odd("au of unknown length.au", patched(_au, 8, b"\xff\xff\xff\xff"), whole()),
    odd("caf.caf", _caf, whole()),
    odd("alac.caf", partial(sound_file, "CAF", "ALAC_16"), whole()),
    odd("sphere.wav", partial(sox, "sph"), whole_or_told(at_least=6), without_ffmpeg=accounted()),
    odd("voc.voc", partial(sox, "voc"), heard_all(), without_ffmpeg=accounted()),
    odd("aiff called.mp3", _aiff, whole()),
    odd("au called.wav", _au, whole()),
    odd("wav called.mp3", _pcm, whole()),
    odd("wav called.flac", partial(wav, 6.0, 44_100, channels=2), whole()),
    odd("0 Hz.aiff", _aiff_of_rate(0), refused()),
    odd("1 Hz.aiff", _aiff_of_rate(1), refused()),
    odd("0 Hz.au", patched(_au, 16, bytes(4)), refused()),
    odd("3 Hz.au", patched(_au, 16, b"\0\0\0\3"), refused("Hz")),
    *(
        odd(f"cut at {percent}.{form.lower()}", cut(content, percent), told(*limits))
        for form, content in (("AIFF", _aiff), ("AU", _au))
        for percent, limits in ((25, (1, 2)), (50, (2, 3)), (99, (5, 6)))
    ),
    odd("cut at 25.caf", cut(_caf, 25), told(1, 2), without_ffmpeg=less()),
    odd("cut at 50.caf", cut(_caf, 50), told(2, 3), without_ffmpeg=less()),
    odd("cut at 99.caf", cut(_caf, 99), told(5, 6)),
)
