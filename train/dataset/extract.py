"""Cuts one song into clips: their sound with a margin, their pictures, and what tells them from others."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_runtime.audio import AudioFile, Samples, level_dbfs
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.spectrogram import Colormap, Spectrogram, SpectrogramSettings
from train.dataset.dataset import DatasetConfig
from train.dataset.discover import FFMPEG_SUFFIXES, Skipped, Song, nfc
from train.dataset.fingerprint import Fingerprint, fingerprint


@contextmanager
def decodable(path: Path, scratch: Path) -> Iterator[Path]:
    """The song itself, or a WAV file of it that is there for as long as the context.

    Parameters
    ----------
    path : Path
    scratch : Path
        A folder for the WAV file.

    Raises
    ------
    TmgcError
        It needs ffmpeg, which is missing or cannot decode it.
    OSError
        There is no room for the WAV file.
    """
    if path.suffix.lower() not in FFMPEG_SUFFIXES:
        yield path
        return
    if shutil.which("ffmpeg") is None:
        raise TmgcError(
            f"{path.suffix} needs ffmpeg, which this system lacks: install it, or convert the song where there is one: "
            f"ffmpeg -i {path.name} {path.stem}.flac"
        )
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        wav = Path(folder) / "song.wav"
        # "file:" since a name with a colon would be taken for a protocol.
        options = ("-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:a:0", "-c:a", "pcm_s16le")
        done = subprocess.run(["ffmpeg", *options, str(wav)], capture_output=True, check=False)
        if done.returncode != 0:
            complaint = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
            if any(os.strerror(errno.ENOSPC) in line for line in complaint):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))
            raise TmgcError(f"ffmpeg cannot decode it: {complaint[-1]}")
        yield wav


def artist_of(path: Path) -> str:
    """The artist that a file's tags name; nothing where they name none.

    Parameters
    ----------
    path : Path
        A file that libsndfile reads: ID3 tags, Vorbis comments, and the text chunks of WAV and AIFF.
    """
    import soundfile

    with soundfile.SoundFile(os.fsencode(path)) as file:
        artist: str = file.artist
    return " ".join(artist.split())


MARGIN_SECONDS = 0.5
"""Sound kept on both sides of a clip, so that it can be cut at another moment."""

SILENT_DBFS = -60.0
"""A clip below this level holds nothing to learn from."""


class CutClip(NamedTuple):
    """Two seconds of a song, whose files are written."""

    name: str
    """Unique, and the stem of its files."""
    offset_seconds: float
    lead_seconds: float
    level_dbfs: float
    fingerprint: Fingerprint


class CutSong(NamedTuple):
    """What came of a song."""

    song: str
    """Its path below the folder of songs."""
    stamp: tuple[int, int]
    """Its size in bytes and the time of its last change in ns: while they stay, so does the rest."""
    sha256: str
    """Of the file."""
    artist: str
    """As its tags name it, or nothing."""
    clips: tuple[CutClip, ...]
    left_out: tuple[Skipped, ...]


class Job(NamedTuple):
    """A song to cut, in a form that travels to another process."""

    song: Song
    settings: DatasetConfig
    colormap: Colormap
    sounds: Path
    """Folder of the FLAC files, which is there."""
    pictures: Path
    """Folder of the PNG files, which is there."""
    scratch: Path
    """Folder for what is thrown away again."""


def cut_song(job: Job) -> CutSong:
    """Cut a song at its offsets and write the files of its clips.

    What is wrong with the song is told in its ``left_out``; what hinders writing is raised.

    Raises
    ------
    OSError
        The clips cannot be written, or what ffmpeg decodes.
    """
    song, clips, left_out = job.song, list[CutClip](), list[Skipped]()
    stamp, sha256, artist = (0, 0), "", ""
    sounds: list[tuple[float, Samples | str]] = []
    try:
        stamp = stamp_of(song.path)
        rate = job.settings.spectrogram.sample_rate
        with decodable(song.path, job.scratch) as path, AudioFile(path, sample_rate=rate) as file:
            artist = artist_of(path)
            sounds = [(offset, _stretch(file, offset, job.settings)) for offset in job.settings.offsets_seconds]
        sha256 = sha256_of(song.path)
    except TmgcError as error:
        left_out.append(Skipped(song.relative_path, str(error)))
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # whatever a decoder makes of a damaged file
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # ffmpeg's sound has no room, which is no fault of the song
        sounds = []
        left_out.append(Skipped(song.relative_path, f"{type(error).__name__}: {first_line(error)}"))
    for offset, sound in sounds:
        clip = sound if isinstance(sound, str) else _clip(job, offset, sound)
        if isinstance(clip, str):
            left_out.append(Skipped(song.relative_path, f"at {offset:g} s: {clip}"))
        else:
            clips.append(clip)
    return CutSong(song.relative_path, stamp, sha256, artist, tuple(clips), tuple(left_out))


def stamp_of(path: Path) -> tuple[int, int]:
    """A file's size in bytes and the time of its last change, ns."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _stretch(file: AudioFile, offset: float, settings: DatasetConfig) -> Samples | str:
    """A clip's sound with its margins, or the reason if there is none."""
    window = settings.spectrogram.window_seconds
    if file.seconds < offset + window:
        return f"the song ends at {file.seconds:.2f} s"
    lead = min(offset, MARGIN_SECONDS)
    seconds = lead + window + MARGIN_SECONDS
    file.warnings.clear()
    blocks = list(file.blocks(start_seconds=offset - lead, seconds=seconds, block_seconds=seconds))
    return file.warnings[0].removeprefix(f"{file.path} ") if file.warnings else np.concatenate(blocks)


def _clip(job: Job, offset: float, sound: Samples) -> CutClip | str:
    """Write a clip's files; the reason if there is nothing to learn from it."""
    settings = job.settings.spectrogram
    first = round(min(offset, MARGIN_SECONDS) * settings.sample_rate)
    samples = sound[first : first + settings.window_samples]
    if len(samples) < settings.window_samples:
        return f"only {len(samples) / settings.sample_rate:.2f} s could be decoded"
    level = level_dbfs(samples)
    if level < SILENT_DBFS:
        return f"silent ({level:.0f} dBFS)"
    clip = CutClip(
        name=f"{_stem(job.song)}_{offset:g}s",
        offset_seconds=offset,
        lead_seconds=first / settings.sample_rate,
        level_dbfs=level,
        fingerprint=fingerprint(sound, sample_rate=settings.sample_rate),
    )
    _write_picture(samples, job.pictures / f"{clip.name}.png", _spectrogram(settings, job.colormap.tobytes()))
    _write_sound(sound, job.sounds / f"{clip.name}.flac", settings.sample_rate)
    return clip


def _stem(song: Song) -> str:
    """A file name that a person recognises, made unique by a hash of the song's whole path."""
    readable = "".join(letter if letter.isalnum() else "_" for letter in nfc(song.path.stem))[:40]
    return f"{readable}_{hashlib.sha256(os.fsencode(song.relative_path)).hexdigest()[:8]}"


def _write_picture(samples: Samples, path: Path, spectrogram: Spectrogram) -> None:
    from PIL import Image

    grey = spectrogram.index_image(samples)
    image = Image.frombytes("P", grey.shape[::-1], grey.tobytes())
    image.putpalette(spectrogram.colormap.tobytes())
    with atomic_write(path) as partial:
        image.save(partial, compress_level=0)  # compressed it is 15 % smaller, and takes five times as long


def _write_sound(sound: Samples, path: Path, sample_rate: int) -> None:
    import soundfile

    encoded = io.BytesIO()  # so that a full disk is the system's error and not one of the encoder
    integers = np.rint(np.clip(sound, -1.0, 1.0) * np.float32(32_767)).astype(np.int16)
    # The quickest level, 5 % larger than the default.
    soundfile.write(encoded, integers, sample_rate, format="FLAC", compression_level=0.0)
    with atomic_write(path) as partial:
        partial.write_bytes(encoded.getbuffer())


@lru_cache(maxsize=1)
def _spectrogram(settings: SpectrogramSettings, colormap: bytes) -> Spectrogram:
    """One instance for all clips of a process, since its tables are worth keeping."""
    return Spectrogram(settings, np.frombuffer(colormap, np.uint8).reshape(256, 3))
