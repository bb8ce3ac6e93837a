"""Odd files of formats that only ffmpeg decodes, by their own names and by wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.odd_files.encoders import ffmpeg
from tests.odd_files.mpeg import id3v2, noise
from tests.odd_files.odd_file import (
    NEEDS_FFMPEG,
    OddFile,
    Outcome,
    accounted,
    cut,
    heard_all,
    joined,
    odd,
    refused,
    told,
    whole,
    whole_or_told,
)


def _only_ffmpeg(name: str, content: Callable[[], bytes], outcome: Outcome) -> OddFile:
    return odd(name, content, outcome, without_ffmpeg=NEEDS_FFMPEG)


_m4a = partial(ffmpeg, "-c:a", "aac", form="ipod")
_faststart = partial(ffmpeg, "-c:a", "aac", "-movflags", "+faststart", form="ipod")
_fragmented = partial(
    ffmpeg, "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "1000000", form="mp4"
)
_adts = partial(ffmpeg, "-c:a", "aac", form="adts")
_wma = partial(ffmpeg, "-c:a", "wmav2", form="asf")
_webm = partial(ffmpeg, "-c:a", "libopus", form="webm")
_mka = partial(ffmpeg, "-c:a", "libvorbis", form="matroska")
_picture = ("-f", "lavfi", "-i", "color=c=red:s=64x64:r=5:d=6")


def _video(*codecs: str, form: str) -> Callable[[], bytes]:
    """A video of one colour with the ladder."""
    return partial(ffmpeg, *_picture, "-shortest", *codecs, form=form)


def _two_tracks() -> bytes:
    """Two tracks: the ladder, and silence."""
    silence = ("-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono:d=6")
    return ffmpeg(*silence, "-map", "0:a", "-map", "1:a", "-c:a", "libvorbis", form="matroska")


def _no_sound() -> bytes:
    return ffmpeg(*_picture, "-map", "1:v", "-c:v", "mpeg4", form="mp4")


def _protected() -> bytes:
    """An m4a whose track says that it is encrypted in the way of a shop: sample entry ``drms``. It is not."""
    return _m4a().replace(b"mp4a", b"drms")


def _encrypted() -> bytes:
    """Common encryption."""
    key = "00112233445566778899aabbccddeeff"
    scheme = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", key)
    return ffmpeg("-c:a", "aac", *scheme, form="mp4")


def _part(first: int, *options: str, form: str, rate: int = 44_100) -> Callable[[], bytes]:
    return partial(ffmpeg, *options, form=form, seconds=3.0, first=first, rate=rate)


COMPRESSED_FILES: tuple[OddFile, ...] = (
    _only_ffmpeg("aac.m4a", _m4a, whole()),
    _only_ffmpeg("alac.m4a", partial(ffmpeg, "-c:a", "alac", form="ipod"), whole()),
    _only_ffmpeg("faststart.m4a", _faststart, whole()),
    _only_ffmpeg("fragmented.mp4", _fragmented, whole()),
    _only_ffmpeg("book.m4b", _m4a, whole()),
    _only_ffmpeg("2.2 s.m4a", partial(ffmpeg, "-c:a", "aac", form="ipod", seconds=2.2), whole(2.2)),
    _only_ffmpeg("adts.aac", _adts, whole()),
    _only_ffmpeg("wma.wma", _wma, whole()),
    _only_ffmpeg("opus.webm", _webm, whole()),
    _only_ffmpeg("vorbis.mka", _mka, whole()),
    _only_ffmpeg("flac.mka", partial(ffmpeg, "-c:a", "flac", form="matroska"), whole()),
    _only_ffmpeg("wavpack.wv", partial(ffmpeg, "-c:a", "wavpack", form="wv"), whole()),
    _only_ffmpeg("tta.tta", partial(ffmpeg, "-c:a", "tta", form="tta"), whole()),
    _only_ffmpeg("ac3.ac3", partial(ffmpeg, "-c:a", "ac3", form="ac3"), whole()),
    _only_ffmpeg("eac3.eac3", partial(ffmpeg, "-c:a", "eac3", form="eac3"), whole()),
    _only_ffmpeg(
        "dts.dts", partial(ffmpeg, "-c:a", "dca", "-strict", "-2", form="dts", rate=48_000, channels=2), whole()
    ),
    _only_ffmpeg("aac.3gp", partial(ffmpeg, "-c:a", "aac", form="3gp"), whole()),
    _only_ffmpeg("aac.ts", partial(ffmpeg, "-c:a", "aac", form="mpegts"), heard_all()),
    _only_ffmpeg("video.mp4", _video("-c:v", "mpeg4", "-c:a", "aac", form="mp4"), whole()),
    _only_ffmpeg("video.mkv", _video("-c:v", "mpeg4", "-c:a", "libmp3lame", form="matroska"), whole()),
    _only_ffmpeg("video.avi", _video("-c:v", "mpeg4", "-c:a", "libmp3lame", form="avi"), whole()),
    _only_ffmpeg("video.flv", _video("-c:v", "flv", "-c:a", "libmp3lame", form="flv"), whole()),
    _only_ffmpeg("video.mpg", _video("-c:v", "mpeg1video", "-r", "25", "-c:a", "mp2", form="mpeg"), heard_all()),
    odd(
        "video with vorbis.ogg",
        _video("-c:v", "libtheora", "-c:a", "libvorbis", form="ogg"),
        whole(),
        without_ffmpeg=accounted(),
    ),
    _only_ffmpeg("two tracks.mka", _two_tracks, whole()),
    # other names
    _only_ffmpeg("m4a called.mp3", _m4a, whole()),
    _only_ffmpeg("m4a called.wav", _faststart, whole()),
    _only_ffmpeg("webm called.mp3", _webm, whole()),
    _only_ffmpeg("wma called.mp3", _wma, whole()),
    _only_ffmpeg("aac called.mp3", _adts, whole()),
    _only_ffmpeg("ac3 called.mp3", partial(ffmpeg, "-c:a", "ac3", form="ac3"), whole()),
    _only_ffmpeg("mka called.ogg", _mka, whole()),
    _only_ffmpeg("wavpack called.flac", partial(ffmpeg, "-c:a", "wavpack", form="wv"), whole()),
    _only_ffmpeg("id3v2 and aac.aac", joined(id3v2, _adts), whole()),
    # joined, cut, without sound
    _only_ffmpeg(
        "joined.aac", joined(_part(0, "-c:a", "aac", form="adts"), _part(3, "-c:a", "aac", form="adts")), heard_all()
    ),
    _only_ffmpeg(
        "joined of two rates.aac",
        joined(_part(0, "-c:a", "aac", form="adts"), _part(3, "-c:a", "aac", form="adts", rate=22_050)),
        whole_or_told(at_least=3),
    ),
    _only_ffmpeg(
        "joined.ts",
        joined(_part(0, "-c:a", "aac", form="mpegts"), _part(3, "-c:a", "aac", form="mpegts")),
        whole_or_told(at_least=3),
    ),
    _only_ffmpeg(
        "joined.webm",
        joined(_part(0, "-c:a", "libopus", form="webm"), _part(3, "-c:a", "libopus", form="webm")),
        whole_or_told(at_least=3),
    ),
    _only_ffmpeg("noise at the end.aac", lambda: _adts() + noise(20_000), heard_all()),
    odd("cut at 50.m4a", cut(_m4a, 50), refused()),
    _only_ffmpeg("cut at 50, faststart.m4a", cut(_faststart, 50), told(1, 4)),
    _only_ffmpeg("cut at 50.wma", cut(_wma, 50), whole_or_told(3, at_least=1)),
    _only_ffmpeg("cut at 50.mka", cut(_mka, 50), told(1, 4)),
    _only_ffmpeg("cut at 50.wv", cut(partial(ffmpeg, "-c:a", "wavpack", form="wv"), 50), told(1, 4)),
    _only_ffmpeg("cut at 50.aac", cut(_adts, 50), accounted(3)),
    odd("video without sound.mp4", _no_sound, refused()),
    odd("video without sound called.mp3", _no_sound, refused()),
    _only_ffmpeg("protected.m4p", _protected, accounted()),
    _only_ffmpeg("protected called.mp3", _protected, accounted()),
    odd("encrypted.m4a", _encrypted, accounted(0)),
)
