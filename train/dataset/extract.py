"""Extracts the clips of one song: their audio with a margin, their index images, and what else is known of the song.

All files of a song have a hash in their names: of the song's path, size and mtime, and of the settings that its clips
depend on. A file that exists can therefore be used: it is never of another version of the song or of other settings.
Every file is written atomically, and the song's JSON file last: if it exists, the song is done.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_runtime.audio import CANCELLED, Samples, level_dbfs
from edge_runtime.audio_file import AudioFile
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.spectrogram import Colormap, Spectrogram, SpectrogramSettings
from train.dataset.dataset import DatasetConfig
from train.dataset.discover import Skipped, Song, nfc
from train.dataset.fingerprint import Fingerprint, fingerprint
from train.dataset.tags import read_artists
from train.run import Run

MARGIN_SECONDS = 0.5
"""Audio kept before and after a clip, so that augmentation can shift it in time."""

SILENT_DBFS = -60.0
"""A clip below this level is skipped: there is nothing to learn from it."""

FORMAT = 3
"""Part of every file name: increase it when clips are extracted in another way, and all songs are extracted anew."""


class ExtractedClip(NamedTuple):
    """A clip whose files are written."""

    name: str
    """Unique in the run: the stem of its files."""
    offset_seconds: float
    lead_seconds: float
    level_dbfs: float
    fingerprint: Fingerprint
    audio_bytes: int
    """Size of the FLAC file."""
    image_bytes: int
    """Size of the PNG file."""


class ExtractedSong(NamedTuple):
    """The result of extracting a song: what its JSON file holds."""

    song: str
    """Path relative to the folder of songs."""
    sha256: str
    """Of the file."""
    artist: str
    """See :func:`train.dataset.tags.read_artists`; empty if there is none."""
    clips: tuple[ExtractedClip, ...]
    skipped: tuple[Skipped, ...]
    """The song, or clips of it, with the reason."""


class Job(NamedTuple):
    """A song to extract, in a form that can be sent to another process."""

    song: Song
    stem: str
    """Of the song's files: see :func:`stem_of`."""
    run: Run
    """Its folders ``clips`` and ``images`` exist."""
    settings: DatasetConfig
    colormap: Colormap


def stem_of(song: Song, settings: DatasetConfig) -> str:
    """Stem of the files of a song: readable, and unique for the song, its version and the settings.

    Parameters
    ----------
    song : Song
        Identified by its relative path, size and mtime.
    settings : DatasetConfig
        Only what clips depend on: not the split.

    Raises
    ------
    OSError
        The file does not exist any more.
    """
    status = song.path.stat()
    version = (song.relative_path, status.st_size, status.st_mtime_ns)
    extraction = (FORMAT, settings.offsets_seconds, settings.spectrogram.to_json(), MARGIN_SECONDS, SILENT_DBFS)
    key = hashlib.sha256(json.dumps([version, extraction], sort_keys=True).encode("ascii")).hexdigest()[:12]
    readable = "".join(letter if letter.isalnum() else "_" for letter in nfc(song.path.stem))[:40]
    return f"{readable}_{key}"


def extract_song(job: Job) -> ExtractedSong:
    """Extract the clips of a song and write their files.

    A defect of the song is a reason in ``skipped``. A song without clips leaves no file and is tried again next time:
    the reason may be a missing ffmpeg.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    song = job.song.relative_path
    sha256, artist, skipped, excerpts = "", "", list[Skipped](), list[tuple[float, Samples | str]]()
    try:
        rate = job.settings.spectrogram.sample_rate
        with AudioFile(job.song.path, sample_rate=rate) as file:
            artist = read_artists(job.song.path)
            excerpts = [(offset, _excerpt(file, offset, job.settings)) for offset in job.settings.offsets_seconds]
        sha256 = sha256_of(job.song.path)
    except TmgcError as error:
        skipped.append(Skipped(song, str(error)))
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # a decoder's errors about a damaged file
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # not a defect of the song
        excerpts = []
        skipped.append(Skipped(song, f"{type(error).__name__}: {first_line(error)}"))
    clips = []
    for offset, excerpt in excerpts:
        clip = excerpt if isinstance(excerpt, str) else _extract_clip(job, offset, excerpt)
        if isinstance(clip, str):
            skipped.append(Skipped(song, f"at {offset:g} s: {clip}"))
        else:
            clips.append(clip)
    extracted = ExtractedSong(song, sha256, artist, tuple(clips), tuple(skipped))
    if clips:
        with atomic_write(_json_path(job)) as partial:
            partial.write_text(json.dumps(_to_json(extracted)), "utf-8")
    return extracted


def read_extracted(job: Job) -> ExtractedSong | None:
    """The result of an earlier extraction of the song.

    None if it is not done, or if a file of it is missing, has another size, or was changed after the JSON file, which
    was written last.
    """
    try:
        done_ns = _json_path(job).stat().st_mtime_ns
        extracted = _from_json(json.loads(_json_path(job).read_text("utf-8")))
        for clip in extracted.clips:
            for folder, suffix, size in (
                (job.run.clips, ".flac", clip.audio_bytes),
                (job.run.images, ".png", clip.image_bytes),
            ):
                status = (folder / f"{clip.name}{suffix}").stat()
                if status.st_size != size or status.st_mtime_ns > done_ns:
                    return None
        return extracted
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _excerpt(file: AudioFile, offset: float, settings: DatasetConfig) -> Samples | str:
    """A clip's audio with its margins, or the reason why there is none."""
    window = settings.spectrogram.window_seconds
    if file.end_seconds is None or offset + window <= file.end_seconds:
        lead = min(offset, MARGIN_SECONDS)
        seconds = lead + window + MARGIN_SECONDS
        file.warnings.clear()
        blocks = list(file.blocks(start_seconds=offset - lead, seconds=seconds, block_seconds=seconds))
        if damage := [warning for warning in file.warnings if not warning.endswith(CANCELLED)]:
            return damage[0].removeprefix(f"{file.name} ")
        if file.end_seconds is None or offset + window <= file.end_seconds:
            return np.concatenate(blocks)
    return f"the song ends at {file.end_seconds:.2f} s"


def _extract_clip(job: Job, offset: float, sound: Samples) -> ExtractedClip | str:
    """Write a clip's files; the reason if it is too short or silent."""
    settings = job.settings.spectrogram
    first = round(min(offset, MARGIN_SECONDS) * settings.sample_rate)
    samples = sound[first : first + settings.window_samples]
    if len(samples) < settings.window_samples:
        return f"only {len(samples) / settings.sample_rate:.2f} s could be decoded"
    level = level_dbfs(samples)
    if level < SILENT_DBFS:
        return f"silent ({level:.0f} dBFS)"
    name = f"{job.stem}_{offset:g}s"
    return ExtractedClip(
        name=name,
        offset_seconds=offset,
        lead_seconds=first / settings.sample_rate,
        level_dbfs=level,
        fingerprint=fingerprint(sound, sample_rate=settings.sample_rate),
        audio_bytes=_write_audio(sound, job.run.clips / f"{name}.flac", settings.sample_rate),
        image_bytes=_write_image(
            samples, job.run.images / f"{name}.png", _spectrogram(settings, job.colormap.tobytes())
        ),
    )


def _write_image(samples: Samples, path: Path, spectrogram: Spectrogram) -> int:
    """Write the index image of a clip; the size of the file, bytes."""
    from PIL import Image

    index_image = spectrogram.index_image(samples)
    image = Image.frombytes("P", index_image.shape[::-1], index_image.tobytes())
    image.putpalette(spectrogram.colormap.tobytes())
    encoded = io.BytesIO()
    image.save(encoded, "PNG", compress_level=0)  # compression saves 15 % and takes five times as long
    return _write_bytes(encoded, path)


def _write_audio(sound: Samples, path: Path, sample_rate: int) -> int:
    """Write audio as 16-bit FLAC; the size of the file, bytes."""
    import soundfile

    encoded = io.BytesIO()  # so that a full disk is an OSError, not an error of the encoder
    integers = np.rint(np.clip(sound, -1.0, 1.0) * np.float32(32_767)).astype(np.int16)
    # The fastest level, 5 % larger than the default.
    soundfile.write(encoded, integers, sample_rate, format="FLAC", compression_level=0.0)
    return _write_bytes(encoded, path)


def _write_bytes(encoded: io.BytesIO, path: Path) -> int:
    with atomic_write(path) as partial:
        return partial.write_bytes(encoded.getbuffer())


@lru_cache(maxsize=1)
def _spectrogram(settings: SpectrogramSettings, colormap: bytes) -> Spectrogram:
    """One instance for all clips of a process, since its tables take long to compute."""
    return Spectrogram(settings, np.frombuffer(colormap, np.uint8).reshape(256, 3))


def _json_path(job: Job) -> Path:
    return job.run.clips / f"{job.stem}.json"


def _to_json(song: ExtractedSong) -> dict[str, Any]:
    clips = [clip._asdict() | {"fingerprint": clip.fingerprint.tobytes().hex()} for clip in song.clips]
    return song._asdict() | {"clips": clips}


def _from_json(document: dict[str, Any]) -> ExtractedSong:
    clips = tuple(
        ExtractedClip(**clip | {"fingerprint": np.frombuffer(bytes.fromhex(clip["fingerprint"]), np.uint32)})
        for clip in document["clips"]
    )
    skipped = tuple(Skipped(*fields) for fields in document["skipped"])
    song = ExtractedSong(**document | {"clips": clips, "skipped": skipped})
    texts = [song.song, song.sha256, song.artist, *(clip.name for clip in clips), *chain.from_iterable(skipped)]
    numbers = [number for clip in clips for number in (clip.offset_seconds, clip.lead_seconds, clip.level_dbfs)]
    if not all(isinstance(text, str) for text in texts) or not all(map(math.isfinite, numbers)):
        raise TypeError("names are text, and offsets and levels are numbers")
    return song
