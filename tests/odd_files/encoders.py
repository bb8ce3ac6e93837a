"""The ladder in the formats of other programs, as bytes; each is made once."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import soundfile

from tests.odd_files.ladder import ladder


class MissingTool(Exception):  # noqa: N818  # a reason to skip, not an error
    """A program that makes a file is not installed."""


@cache
def wav(seconds: float = 6.0, rate: int = 44_100, **of_ladder: Any) -> bytes:
    """The ladder as a plain WAV of 16 bits."""
    return sound_file("WAV", "PCM_16", seconds=seconds, rate=rate, **of_ladder)


@cache
def sound_file(form: str, subtype: str, *, seconds: float = 6.0, rate: int = 44_100, **of_ladder: Any) -> bytes:
    """The ladder in a format that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, ladder(seconds, rate, **of_ladder), rate, format=form, subtype=subtype)
    return file.getvalue()


@cache
def ffmpeg(*options: str, form: str, seconds: float = 6.0, rate: int = 44_100, **of_ladder: Any) -> bytes:
    """The ladder, encoded by ffmpeg into the container ``form``."""
    sound = wav(seconds, rate, **of_ladder)
    return _made("ffmpeg", "-nostdin", "-v", "error", "-i", "{in}", *options, "-f", form, "-y", "{out}", sound=sound)


def transcode(sound: bytes, *options: str) -> bytes:
    """Sound of any format, encoded by ffmpeg."""
    return _made("ffmpeg", "-nostdin", "-v", "error", "-i", "{in}", *options, "-y", "{out}", sound=sound)


@cache
def lame(*options: str, seconds: float = 6.0, rate: int = 44_100, **of_ladder: Any) -> bytes:
    """The ladder, encoded by lame."""
    return _made("lame", "--quiet", *options, "{in}", "{out}", sound=wav(seconds, rate, **of_ladder))


@cache
def oggenc(*options: str, seconds: float = 6.0, rate: int = 44_100, **of_ladder: Any) -> bytes:
    """The ladder, encoded as Ogg Vorbis by oggenc."""
    return _made("oggenc", "-Q", *options, "-o", "{out}", "{in}", sound=wav(seconds, rate, **of_ladder))


@cache
def opusenc(*options: str, seconds: float = 6.0, rate: int = 48_000, **of_ladder: Any) -> bytes:
    """The ladder, encoded as Ogg Opus by opusenc."""
    return _made("opusenc", "--quiet", *options, "{in}", "{out}", sound=wav(seconds, rate, **of_ladder))


@cache
def flac(*options: str, seconds: float = 6.0, rate: int = 44_100, **of_ladder: Any) -> bytes:
    """The ladder, encoded by flac."""
    return _made("flac", "-s", "-f", *options, "-o", "{out}", "{in}", sound=wav(seconds, rate, **of_ladder))


@cache
def flac_to_pipe(*, seconds: float = 6.0, rate: int = 44_100) -> bytes:
    """A FLAC whose header does not say how long it is, since its writer did not know it and could not go back."""
    layout = ("--endian=little", "--sign=signed", "--channels=1", "--bps=16", f"--sample-rate={rate}")
    samples = (ladder(seconds, rate) * 32_767).astype("<i2").tobytes()
    return _piped("flac", "-s", "-c", "--force-raw-format", *layout, "-", sound=samples)


@cache
def sox(form: str, *options: str, seconds: float = 6.0, rate: int = 8_000, **of_ladder: Any) -> bytes:
    """The ladder, encoded by SoX into the format ``form``."""
    return _made("sox", "{in}", *options, "-t", form, "{out}", sound=wav(seconds, rate, **of_ladder))


def _made(program: str, *arguments: str, sound: bytes) -> bytes:
    """What a program writes that reads ``{in}`` and writes ``{out}``."""
    _check(program)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "in.wav"), Path(folder, "out")
        source.write_bytes(sound)
        filled = [argument.replace("{in}", str(source)).replace("{out}", str(made)) for argument in arguments]
        subprocess.run([program, *filled], check=True, stdin=subprocess.DEVNULL, capture_output=True)
        return made.read_bytes()


def _piped(program: str, *arguments: str, sound: bytes) -> bytes:
    """What a program writes to a pipe that reads a pipe."""
    _check(program)
    return subprocess.run([program, *arguments], input=sound, check=True, capture_output=True).stdout


def _check(program: str) -> None:
    if shutil.which(program) is None:
        raise MissingTool(f"{program} is not installed")
