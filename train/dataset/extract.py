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
import sys
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import CANCELLED, Samples, level_dbfs
from edge_runtime.audio_file import AudioFile
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.spectrogram import Colormap, Spectrogram, SpectrogramSettings
from train.dataset.dataset import DatasetConfig
from train.dataset.discover import Skipped, Song
from train.dataset.file_names import nfc
from train.dataset.fingerprint import Fingerprint, fingerprint
from train.dataset.tags import read_artists
from train.run import Run

MARGIN_SECONDS = 0.5
"""Audio kept before and after a clip, so that augmentation can shift it in time."""

SILENT_DBFS = -60.0
"""A clip below this level is skipped: there is nothing to learn from it."""

FORMAT = 4
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
    placement = (settings.offsets_seconds, settings.windows_per_song)
    extraction = (FORMAT, placement, settings.spectrogram.to_json(), settings.colormap, MARGIN_SECONDS, SILENT_DBFS)
    key = hashlib.sha256(json.dumps([version, extraction], sort_keys=True).encode("ascii")).hexdigest()[:12]
    encoding = sys.getfilesystemencoding()
    stem = nfc(PurePosixPath(song.relative_path).stem).encode(encoding, "replace").decode(encoding)
    readable = "".join(letter if letter.isalnum() else "_" for letter in stem)[:40]
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
    sha256, artist, skipped, excerpts = "", "", list[Skipped](), dict[float, Samples | str]()
    try:
        rate = job.settings.spectrogram.sample_rate
        with AudioFile(job.song.path, sample_rate=rate) as file:
            artist = read_artists(job.song.path)
            excerpts = _excerpts(file, job.settings)
        sha256 = sha256_of(job.song.path)
    except TmgcError as error:
        skipped.append(Skipped(song, str(error).replace(str(job.song.path), "this one")))
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # a decoder's errors about a damaged file
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # not a defect of the song
        excerpts = {}
        skipped.append(Skipped(song, f"cannot be read: {getattr(error, 'strerror', None) or first_line(error)}"))
    clips = []
    for offset, excerpt in sorted(excerpts.items()):
        if isinstance(excerpt, str):
            skipped.append(Skipped(song, f"at {offset:g} s: {excerpt}"))
        else:
            clips.append(_extract_clip(job, offset, excerpt))
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


def _excerpts(file: AudioFile, settings: DatasetConfig) -> dict[float, Samples | str]:
    """By offset, the audio of each clip with its margins, or the reason why there is none."""
    found = {offset: _excerpt(file, offset, settings) for offset in sorted(settings.offsets_seconds)}
    if settings.windows_per_song is None:
        return found
    most = _TRIES * settings.windows_per_song
    while (missing := settings.windows_per_song - sum(not isinstance(sound, str) for sound in found.values())) > 0:
        seconds = file.stated_seconds if file.stated_seconds < math.inf else file.seconds
        window = settings.spectrogram.window_seconds
        offsets = spread_windows(found, min(missing, most - len(found)), seconds=seconds, window_seconds=window)
        if not offsets:
            break
        found |= {offset: _excerpt(file, offset, settings) for offset in offsets}
    beyond = {offset for offset, excerpt in found.items() if isinstance(excerpt, str) and excerpt.startswith(_ENDS)}
    within = {offset: excerpt for offset, excerpt in found.items() if offset not in beyond}
    return within or {0.0: _excerpt(file, 0.0, settings)}  # a song without clips has its reason


_TRIES = 4
"""Windows that are read for each that is wanted: some are silent, damaged, or behind the end, which decoding tells."""

_ENDS = "the song ends at"


def spread_windows(taken: Iterable[float], count: int, *, seconds: float, window_seconds: float) -> list[float]:
    """Offsets of further windows in a song, none of which overlaps another, as far apart as the song allows.

    Each window in turn goes to the stretch between windows that has most room for it. Those of a stretch, its ends and
    the windows around it have equal distances.

    Parameters
    ----------
    taken : iterable of float >= 0, seconds
        Offsets of windows that are there, or behind the end of the song.
    count : int
        Number of further windows; fewer where there is no room.
    seconds : float >= 0
        Length of the song; none has room if it is infinite, since its end is unknown.
    window_seconds : float > 0

    Returns
    -------
    offsets : list of float >= 0, seconds
        Sorted.
    """
    if seconds == math.inf:
        return []
    begins, ends = [0.0], []
    for offset in sorted(offset for offset in taken if offset + window_seconds <= seconds):
        ends.append(offset)
        begins.append(offset + window_seconds)
    stretches = list(zip(begins, [*ends, seconds], strict=True))
    windows = [0] * len(stretches)

    def room(stretch: int, more: int) -> float:
        """Between the windows of a stretch, and at its ends, seconds."""
        begin, end = stretches[stretch]
        return (end - begin - (windows[stretch] + more) * window_seconds) / (windows[stretch] + more + 1)

    for _ in range(count):
        roomiest = max(range(len(stretches)), key=lambda stretch: room(stretch, 1))
        if room(roomiest, 1) < 0:
            break
        windows[roomiest] += 1
    return [
        # down to hundredths, which names of files show
        math.floor(100 * (begin + room(stretch, 0) * (number + 1) + window_seconds * number)) / 100
        for stretch, (begin, _) in enumerate(stretches)
        for number in range(windows[stretch])
    ]


def _excerpt(file: AudioFile, offset: float, settings: DatasetConfig) -> Samples | str:
    """A clip's audio with its margins, or the reason why there is none."""
    window = settings.spectrogram.window_seconds
    ended = file.end_seconds is not None and offset + window > file.end_seconds
    sound = None if ended else _read(file, offset, settings)
    if isinstance(sound, str):
        return sound
    if sound is None or (file.end_seconds is not None and offset + window > file.end_seconds):
        return f"{_ENDS} {file.end_seconds:.2f} s"
    samples = _without_margins(sound, offset, settings.spectrogram)
    if len(samples) < settings.spectrogram.window_samples:
        return f"only {len(samples) / settings.spectrogram.sample_rate:.2f} s could be decoded"
    level = level_dbfs(samples)
    return f"silent ({level:.0f} dBFS)" if level < SILENT_DBFS else sound


def _read(file: AudioFile, offset: float, settings: DatasetConfig) -> Samples | str:
    """What can be decoded of a clip and its margins, or what is wrong with it."""
    lead = min(offset, MARGIN_SECONDS)
    seconds = lead + settings.spectrogram.window_seconds + MARGIN_SECONDS
    file.warnings.clear()
    blocks = list(file.blocks(start_seconds=offset - lead, seconds=seconds, block_seconds=seconds))
    if damage := [warning for warning in file.warnings if not warning.endswith(CANCELLED)]:
        return damage[0].removeprefix(f"{file.name} ")
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _first_sample(offset: float, settings: SpectrogramSettings) -> int:
    """Where a clip begins in its audio with margins."""
    return round(min(offset, MARGIN_SECONDS) * settings.sample_rate)


def _without_margins(sound: Samples, offset: float, settings: SpectrogramSettings) -> Samples:
    first = _first_sample(offset, settings)
    return sound[first : first + settings.window_samples]


def _extract_clip(job: Job, offset: float, sound: Samples) -> ExtractedClip:
    """Write a clip's files."""
    settings = job.settings.spectrogram
    samples = _without_margins(sound, offset, settings)
    name = f"{job.stem}_{offset:g}s"
    return ExtractedClip(
        name=name,
        offset_seconds=offset,
        lead_seconds=_first_sample(offset, settings) / settings.sample_rate,
        level_dbfs=level_dbfs(samples),
        fingerprint=fingerprint(sound, sample_rate=settings.sample_rate),
        audio_bytes=_write_audio(sound, job.run.clips / f"{name}.flac", settings.sample_rate),
        image_bytes=write_image(
            samples, job.run.images / f"{name}.png", _spectrogram(settings, job.colormap.tobytes())
        ),
    )


def write_image(samples: Samples, path: Path, spectrogram: Spectrogram) -> int:
    """Write the index image of a clip; the size of the file, bytes."""
    return write_index_image(spectrogram.index_image(samples), path, spectrogram.colormap)


def write_index_image(index_image: NDArray[np.uint8], path: Path, colormap: Colormap) -> int:
    """Write an index image with its colormap as the palette; the size of the file, bytes."""
    from PIL import Image

    image = Image.frombytes("P", index_image.shape[::-1], index_image.tobytes())
    image.putpalette(np.broadcast_to(colormap, (256, 3)).tobytes())
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
    return Spectrogram(settings, np.frombuffer(colormap, np.uint8).reshape(256, -1))


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
