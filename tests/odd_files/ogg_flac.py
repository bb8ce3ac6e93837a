"""Odd files of Ogg (Vorbis, Opus, Speex, FLAC) and of FLAC: chained, cut, tagged, and of unknown length."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.odd_files.encoders import ffmpeg, flac, flac_to_pipe, oggenc, opusenc, sound_file
from tests.odd_files.mpeg import id3v1, id3v2, noise
from tests.odd_files.mutants import ogg_checksum
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

_vorbis = partial(oggenc, "-q", "3")
_opus = partial(opusenc, "--bitrate", "64")
_flac = partial(flac, "-5")
_ogg_flac = partial(ffmpeg, "-c:a", "flac", form="ogg")
_speex = partial(ffmpeg, "-c:a", "libspeex", form="ogg", rate=16_000)


def _part(encoder: Callable[..., bytes], first: int, **of_ladder: Any) -> Callable[[], bytes]:
    return partial(encoder, seconds=3.0, first=first, **of_ladder)


def _without_end(content: Callable[[], bytes]) -> Callable[[], bytes]:
    """Ogg whose last page is not marked as such, as a recorder leaves it that was switched off."""

    def changed() -> bytes:
        ogg = bytearray(content())
        at = ogg.rfind(b"OggS")
        ogg[at + 5] &= ~0x04
        ogg[at + 22 : at + 26] = bytes(4)
        ogg[at + 22 : at + 26] = ogg_checksum(bytes(ogg[at:])).to_bytes(4, "little")
        return bytes(ogg)

    return changed


def _tagged(content: Callable[[], bytes], picture: int) -> Callable[[], bytes]:
    """Vorbis comments with a picture of so many bytes, written by mutagen."""

    def changed() -> bytes:
        from mutagen import File

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "song")
            path.write_bytes(content())
            file = File(path)
            file["artist"] = ["Barış Manço", "Kurtalan Ekspres"]
            file["metadata_block_picture"] = "A" * picture
            file.save()
            return path.read_bytes()

    return changed


def _with_total(content: Callable[[], bytes], factor: float) -> Callable[[], bytes]:
    """A FLAC whose STREAMINFO says ``factor`` times as many samples as there are."""

    def changed() -> bytes:
        whole_file = content()
        packed = int.from_bytes(whole_file[18:26], "big")
        total = min((1 << 36) - 1, int((packed & (1 << 36) - 1) * factor))
        return whole_file[:18] + (packed >> 36 << 36 | total).to_bytes(8, "big") + whole_file[26:]

    return changed


def _with_rate(content: Callable[[], bytes], rate: int) -> Callable[[], bytes]:
    """A FLAC whose STREAMINFO says another rate."""

    def changed() -> bytes:
        whole_file = content()
        packed = int.from_bytes(whole_file[18:26], "big")
        return whole_file[:18] + (packed & (1 << 44) - 1 | rate << 44).to_bytes(8, "big") + whole_file[26:]

    return changed


OGG_FILES: tuple[OddFile, ...] = (
    odd("vorbis.ogg", _vorbis, whole()),
    odd("vorbis stereo 48 kHz.ogg", partial(oggenc, "-q", "1", rate=48_000, channels=2), whole()),
    odd("vorbis 5.1.ogg", partial(oggenc, "-q", "1", channels=6), whole()),
    odd("opus.opus", _opus, whole()),
    odd("opus stereo.opus", partial(opusenc, "--bitrate", "96", rate=44_100, channels=2), whole()),
    odd("speex.spx", _speex, whole_or_told(at_least=5), without_ffmpeg=accounted()),
    odd("vorbis.oga", _vorbis, whole()),
    odd("flac.oga", _ogg_flac, whole(), without_ffmpeg=less()),
    odd("opus called.mp3", _opus, whole()),
    odd("opus called.ogg", _opus, whole()),
    odd("vorbis called.mp3", _vorbis, whole()),
    odd("ogg with a 1 MB picture.ogg", _tagged(_vorbis, 1_000_000), whole()),
    odd("opus with a 200 kB picture.opus", _tagged(_opus, 200_000), whole()),
    odd("2.2 s.ogg", partial(oggenc, seconds=2.2), whole(2.2)),
    odd("2.0 s.opus", partial(opusenc, seconds=2.0), whole(2.0)),
    odd("1.9 s.ogg", partial(oggenc, seconds=1.9), whole(1.9)),
    # radio dumps
    odd("chained.ogg", joined(_part(oggenc, 0), _part(oggenc, 3)), whole_or_told(at_least=3)),
    odd("chained three.ogg", joined(*(_part(oggenc, first) for first in (0, 3, 6))), whole_or_told(9, at_least=3)),
    odd("chained of two rates.ogg", joined(_part(oggenc, 0), _part(oggenc, 3, rate=22_050)), whole_or_told(at_least=3)),
    odd(
        "chained mono and stereo.ogg", joined(_part(oggenc, 0), _part(oggenc, 3, channels=2)), whole_or_told(at_least=3)
    ),
    odd("chained.opus", joined(_part(opusenc, 0), _part(opusenc, 3)), whole_or_told(at_least=3)),
    odd(
        "chained stereo and mono.opus",
        joined(_part(opusenc, 0, channels=2), _part(opusenc, 3)),
        whole_or_told(at_least=3),
    ),
    odd(
        "chained flac.oga",
        joined(_part(_ogg_flac, 0), _part(_ogg_flac, 3)),
        whole_or_told(at_least=3),
        without_ffmpeg=less(),
    ),
    odd("chained vorbis and opus.ogg", joined(_part(oggenc, 0), _part(opusenc, 3)), whole_or_told(at_least=3)),
    odd(
        "chained, each with a picture.ogg",
        joined(_tagged(_part(oggenc, 0), 90_000), _tagged(_part(oggenc, 3), 90_000)),
        whole_or_told(at_least=3),
    ),
    odd("no end.ogg", _without_end(_vorbis), heard_all()),
    odd("no end.opus", _without_end(_opus), heard_all()),
    odd("cut at 25.ogg", cut(_vorbis, 25), told(0, 2)),
    odd("cut at 50.ogg", cut(_vorbis, 50), told(0, 4)),
    odd("cut at 50.opus", cut(_opus, 50), told(1, 4)),
    odd("cut at 99.opus", cut(_opus, 99), told(4, 6)),
    odd("cut at 50.oga", cut(_ogg_flac, 50), told(1, 4), without_ffmpeg=less()),
    odd("cut in the second part.ogg", cut(joined(_part(oggenc, 0), _part(oggenc, 3)), 80), told(3, 6)),
    odd("noise in front.ogg", lambda: noise(2_000) + _vorbis(), accounted()),
    odd("noise at the end.ogg", lambda: _vorbis() + noise(20_000), heard_all()),
    # a page of this size may hold seconds, and no decoder tells that it was lost
    odd("noise between pages.ogg", between(_vorbis, noise(2_000)), whole_or_told(4, at_least=2)),
    odd("id3v2 in front.ogg", joined(id3v2, _vorbis), whole_or_told(at_least=0), without_ffmpeg=less()),
    odd("id3v1 at the end.opus", joined(_opus, id3v1), heard_all()),
)

FLAC_FILES: tuple[OddFile, ...] = (
    odd("flac.flac", _flac, whole()),
    odd("24 bit 96 kHz.flac", partial(ffmpeg, "-c:a", "flac", "-sample_fmt", "s32", form="flac", rate=96_000), whole()),
    odd("eight channels.flac", partial(sound_file, "FLAC", "PCM_16", channels=8, rate=16_000), whole()),
    odd("384 kHz.flac", partial(ffmpeg, "-c:a", "flac", form="flac", rate=384_000, seconds=2.5), whole(2.5)),
    odd("to a pipe.flac", flac_to_pipe, whole()),
    odd("to a pipe, 2.2 s.flac", partial(flac_to_pipe, seconds=2.2), whole(2.2)),
    odd("to a pipe by ffmpeg.flac", _with_total(_flac, 0), whole()),
    odd("no checksum.flac", lambda: _flac()[:26] + bytes(16) + _flac()[42:], whole()),
    odd("id3v2 in front.flac", joined(id3v2, _flac), whole()),
    odd("cover in an id3v2 in front.flac", joined(partial(id3v2, 300_000, picture=True), _flac), whole()),
    odd("id3v1 at the end.flac", joined(_flac, id3v1), heard_all()),
    odd("1 MB padding.flac", partial(flac, "-5", "-P", "1000000"), whole()),
    odd("1 MB picture.flac", _tagged(_flac, 1_000_000), whole()),
    odd("says a half.flac", _with_total(_flac, 0.5), whole_or_told(at_least=3)),
    odd("says tenfold.flac", _with_total(_flac, 10), heard_all()),
    odd("says 18 days.flac", _with_total(_flac, 1e9), heard_all()),
    odd("says 0 Hz.flac", _with_rate(_flac, 0), accounted()),
    odd("says 1 Hz.flac", _with_rate(_flac, 1), accounted()),
    odd("two.flac", joined(_part(_flac, 0), _part(_flac, 3)), whole_or_told(at_least=3)),
    odd("two of two rates.flac", joined(_part(_flac, 0), _part(_flac, 3, rate=22_050)), whole_or_told(at_least=3)),
    odd("to a pipe, two.flac", joined(partial(flac_to_pipe, seconds=3.0), _part(_flac, 3)), whole_or_told(at_least=3)),
    odd("noise at the end.flac", lambda: _flac() + noise(5_000), heard_all()),
    odd("noise in the middle.flac", between(_flac, noise(5_000)), whole_or_told(at_least=2)),
    odd("zeros in front.flac", lambda: bytes(5_000) + _flac(), accounted()),
    odd("cut at 25.flac", cut(_flac, 25), told(0, 2)),
    odd("cut at 50.flac", cut(_flac, 50), told(1, 4)),
    odd("cut at 99.flac", cut(_flac, 99), told(5, 6)),
    odd("cut at 50, to a pipe.flac", cut(flac_to_pipe, 50), whole_or_told(3, at_least=1)),
    odd("flac called.mp3", _flac, whole()),
    odd("flac called.wav", _flac, whole()),
    odd("flac called.ogg", _ogg_flac, whole(), without_ffmpeg=less()),
)
