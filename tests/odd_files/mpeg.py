"""Odd files of MPEG audio: lengths that headers guess, tags and rubbish in every place, and joined files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import partial

import numpy as np

from tests.odd_files.encoders import ffmpeg, lame
from tests.odd_files.odd_file import (
    OddFile,
    accounted,
    between,
    cut,
    heard_all,
    joined,
    less,
    odd,
    told,
    whole,
    whole_or_told,
)

Content = Callable[[], bytes]

_LOUD_FIRST = (0.0, 4.0)
_QUIET_FIRST = (16.0, 20.0)


def noise(size: int, seed: int = 0) -> bytes:
    """Random bytes."""
    return np.random.default_rng(seed).bytes(size)


def id3v2(size: int = 1_000, *, picture: bool = False) -> bytes:
    """An ID3v2.3 tag with an artist and a picture of ``size`` bytes, or padding instead of it."""
    artist = b"\0Baris Manco"
    frames = b"TPE1" + struct.pack(">IH", len(artist), 0) + artist
    if picture:
        content = b"\0image/jpeg\0\3\0" + b"\xff\xd8\xff\xe0" + noise(size)
        frames += b"APIC" + struct.pack(">IH", len(content), 0) + content
    else:
        frames += bytes(size)
    return b"ID3\3\0\0" + _synchsafe(len(frames)) + frames


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3v1() -> bytes:
    """An ID3v1 tag: the last 128 bytes of a file."""
    return (b"TAG" + b"Gulpembe".ljust(30, b"\0") + b"Baris Manco".ljust(30, b"\0")).ljust(128, b"\0")


def ape_tag() -> bytes:
    """An APEv2 tag, written by mutagen."""
    from mutagen.apev2 import APEv2

    file = io.BytesIO()
    tag = APEv2()
    tag["Artist"] = "Barış Manço"
    tag["Comment"] = "x" * 5_000
    tag.save(file)
    return file.getvalue()


def lyrics3() -> bytes:
    """A Lyrics3 v2 tag, which stands before an ID3v1 tag."""
    fields = b"INF00002" + b"10" + b"LYR00030" + b"[00:01]Sozumu kestin o gunden ".ljust(30)
    body = b"LYRICSBEGIN" + fields
    return body + f"{len(body):06d}".encode() + b"LYRICS200"


def _with_xing_frames(content: Content, factor: float) -> Content:
    """A file whose Xing header says that there are ``factor`` times as many frames as there are."""

    def changed() -> bytes:
        whole_file = content()
        at = next(at for name in (b"Xing", b"Info") if (at := whole_file.find(name, 0, 4_000)) >= 0) + 8
        frames = min(0xFFFFFFFF, int(int.from_bytes(whole_file[at : at + 4], "big") * factor))
        return whole_file[:at] + frames.to_bytes(4, "big") + whole_file[at + 4 :]

    return changed


def _without_a_frame(content: Content) -> Content:
    """Some bytes in the middle overwritten with zeros, as a bad sector leaves them."""
    return lambda: (
        (whole_file := content())[: len(whole_file) // 2] + bytes(1_500) + whole_file[len(whole_file) // 2 + 1_500 :]
    )


_cbr = partial(lame, "-b", "128")
_bare = partial(lame, "-t", "-b", "128")
_vbr = partial(lame, "-V", "5")
_long_vbr_loud = partial(lame, "-t", "-V", "4", seconds=20.0, noise=_LOUD_FIRST)
_long_vbr_quiet = partial(lame, "-t", "-V", "4", seconds=20.0, noise=_QUIET_FIRST)


def _part(first: int, *options: str, **of_ladder: object) -> Content:
    return partial(lame, *options, seconds=3.0, first=first, **of_ladder)


MPEG_FILES: tuple[OddFile, ...] = (
    odd("cbr.mp3", _cbr, whole()),
    odd("cbr without info.mp3", _bare, whole()),
    odd("abr.mp3", partial(lame, "--abr", "96"), whole()),
    odd("vbr.mp3", _vbr, whole()),
    odd("vbr old.mp3", partial(lame, "--vbr-old", "-V", "6", channels=2), whole()),
    odd("vbr no xing.mp3", partial(lame, "-t", "-V", "5"), whole(), without_ffmpeg=less()),
    odd("vbr no xing, loud first.mp3", _long_vbr_loud, whole(20.0), without_ffmpeg=less(20)),
    odd("vbr no xing, quiet first.mp3", _long_vbr_quiet, whole(20.0), without_ffmpeg=less(20)),
    odd("xing says a third.mp3", _with_xing_frames(_vbr, 1 / 3), heard_all(), without_ffmpeg=less()),
    odd("xing says tenfold.mp3", _with_xing_frames(_vbr, 10), heard_all()),
    odd("xing says nothing.mp3", _with_xing_frames(_vbr, 0), heard_all(), without_ffmpeg=less()),
    odd("xing says too much for 32 bits.mp3", _with_xing_frames(_vbr, 1e9), heard_all()),
    odd("info says a half.mp3", _with_xing_frames(_cbr, 1 / 2), heard_all(), without_ffmpeg=less()),
    odd(
        "vbri.mp3",
        partial(ffmpeg, "-c:a", "libmp3lame", "-write_xing", "0", "-q:a", "5", form="mp3"),
        whole(),
        without_ffmpeg=less(),
    ),
    odd("ffmpeg.mp3", partial(ffmpeg, "-c:a", "libmp3lame", "-b:a", "96k", form="mp3"), whole()),
    odd("crc.mp3", partial(lame, "-p", "-b", "96"), whole()),
    odd("dual channel.mp3", partial(lame, "-m", "d", "-b", "128", channels=2), whole()),
    odd("free format.mp3", partial(lame, "--freeformat", "-b", "200"), whole_or_told(at_least=0)),
    odd("8 kHz.mp3", partial(lame, "-b", "32", rate=8_000), whole()),
    odd("11 kHz.mp3", partial(lame, "-b", "32", rate=11_025), whole()),
    odd("24 kHz stereo.mp3", partial(lame, "-b", "64", rate=24_000, channels=2), whole()),
    odd("layer 2.mp3", partial(ffmpeg, "-c:a", "mp2", form="mp2"), whole()),
    odd("layer 2.mp2", partial(ffmpeg, "-c:a", "mp2", form="mp2"), whole()),
    odd("inside a wav.wav", partial(ffmpeg, "-c:a", "libmp3lame", form="wav"), whole()),
    # short ones
    odd("2.2 s.mp3", partial(lame, "-V", "2", seconds=2.2), whole(2.2)),
    odd("2.2 s without info.mp3", partial(lame, "-t", "-b", "192", seconds=2.2), whole(2.2)),
    odd("2.0 s.mp3", partial(lame, "-b", "128", seconds=2.0), whole(2.0)),
    odd("1.9 s.mp3", partial(lame, "-b", "128", seconds=1.9), whole(1.9)),
    # tags
    odd("id3v1.mp3", joined(_vbr, id3v1), whole()),
    odd("id3v2.mp3", joined(id3v2, _cbr), whole()),
    odd("two id3v2.mp3", joined(id3v2, id3v2, _vbr), whole()),
    odd("4 MB cover.mp3", joined(partial(id3v2, 4_000_000, picture=True), _vbr), whole()),
    odd("ape tag.mp3", joined(_vbr, ape_tag), whole()),
    odd("ape tag and id3v1.mp3", joined(_bare, ape_tag, id3v1), whole()),
    odd("lyrics3.mp3", joined(_cbr, lyrics3, id3v1), whole()),
    odd("all tags.mp3", joined(id3v2, _bare, ape_tag, lyrics3, id3v1), whole()),
    odd("id3v2 at the end.mp3", joined(_bare, id3v2), whole()),
    odd("ape tag in front.mp3", joined(ape_tag, _bare), heard_all(), without_ffmpeg=less()),
    # rubbish
    odd("200 kB of zeros in front.mp3", lambda: bytes(200_000) + _cbr(), heard_all(), without_ffmpeg=less()),
    odd(
        "1 MB of zeros in front.mp3",
        lambda: bytes(1_000_000) + _vbr(),
        whole_or_told(at_least=0),
        without_ffmpeg=less(),
    ),
    odd(
        "text in front.mp3",
        lambda: b"ICY 200 OK\r\nicy-name: Radyo\r\n\r\n" * 50 + _bare(),
        heard_all(),
        without_ffmpeg=less(),
    ),
    odd("zeros at the end.mp3", lambda: _vbr() + bytes(50_000), heard_all()),
    odd("noise at the end.mp3", lambda: _cbr() + noise(20_000), heard_all()),
    odd("noise in the middle.mp3", between(_bare, noise(3_000)), whole_or_told(at_least=5), without_ffmpeg=less()),
    odd("zeros in the middle.mp3", _without_a_frame(_bare), whole_or_told(at_least=5), without_ffmpeg=less()),
    odd("100 kB of zeros in the middle.mp3", between(_bare, bytes(100_000)), whole_or_told(at_least=2)),
    odd(
        "cover in the middle.mp3",
        between(_bare, id3v2(50_000, picture=True)),
        whole_or_told(at_least=5),
        without_ffmpeg=less(),
    ),
    # joined
    odd("joined.mp3", joined(_part(0, "-b", "128"), _part(3, "-b", "128")), heard_all(), without_ffmpeg=less()),
    odd("joined vbr.mp3", joined(_part(0, "-V", "4"), _part(3, "-V", "7")), heard_all(), without_ffmpeg=less()),
    odd("joined without info.mp3", joined(_part(0, "-t", "-b", "96"), _part(3, "-t", "-b", "160")), heard_all()),
    odd(
        "joined, each with tags.mp3",
        joined(id3v2, _part(0), id3v1, id3v2, _part(3), id3v1),
        heard_all(),
        without_ffmpeg=less(),
    ),
    odd(
        "joined of two rates.mp3",
        joined(_part(0, "-b", "128"), _part(3, "-b", "64", rate=22_050)),
        whole_or_told(at_least=3),
    ),
    odd("joined of near rates.mp3", joined(_part(0, rate=48_000), _part(3, rate=44_100)), whole_or_told(at_least=3)),
    odd("joined mono and stereo.mp3", joined(_part(0, "-t"), _part(3, "-t", channels=2)), whole_or_told(at_least=3)),
    odd("joined stereo and mono.mp3", joined(_part(0, channels=2), id3v2, _part(3)), whole_or_told(at_least=3)),
    odd(
        "joined three.mp3",
        joined(_part(0, "-V", "5"), _part(3, "-b", "64"), _part(6, "-V", "2")),
        heard_all(9),
        without_ffmpeg=less(9),
    ),
    # cut short; only a header that knows the length can tell it
    odd("cut at 25.mp3", cut(_vbr, 25), told(1, 2)),
    odd("cut at 50.mp3", cut(_cbr, 50), told(2, 3)),
    odd("cut at 95.mp3", cut(_vbr, 95), told(5, 6)),
    odd("cut at 50 without info.mp3", cut(_bare, 50), accounted(3)),
    odd("cut inside its cover.mp3", cut(joined(partial(id3v2, 400_000, picture=True), _vbr), 20), accounted(0)),
    # other names
    odd("mp3 called.wav", _vbr, whole()),
    odd("mp3 called.flac", _cbr, whole()),
    odd("mp3 called.ogg", _bare, whole()),
    odd("mp3 called.m4a", joined(id3v2, _vbr), whole()),
)
