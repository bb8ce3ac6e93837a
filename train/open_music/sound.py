"""Files that soundfile reads, from what packages contain: audio, tracker modules and MIDI."""

from __future__ import annotations

import logging
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from edge_runtime.errors import TmgcError, first_line
from train.open_music import SHORTEST_SECONDS
from train.open_music.packages import AUDIO, MIDI, MODULES, need, slug
from train.open_music.programs import Program

LOG = logging.getLogger("tmgc.open_music")

SAMPLE_RATE = 44_100
"""Hz, of what is rendered here"""

LONGEST_RENDERED = 180
"""Seconds of a tracker module or MIDI file: some repeat for ever."""

_BLOCK = 1 << 16
"""Frames at a time: libsndfile's Vorbis encoder overflows the stack with more."""


def write_ogg(path: Path, samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> None:
    """Write Ogg Vorbis.

    Parameters
    ----------
    path : Path
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
    sample_rate : int > 0, Hz
    """
    with soundfile.SoundFile(path, "w", sample_rate, 1, "VORBIS", format="OGG") as file:
        for first in range(0, len(samples), _BLOCK):
            file.write(samples[first : first + _BLOCK])


def seconds_of(path: Path) -> float:
    """Length of an audio file in seconds; 0 where soundfile cannot read it."""
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError):
        return 0.0
    return float(info.frames / info.samplerate) if info.samplerate else 0.0


def collect(unpacked: Path, folder: Path, prefix: str, synth: Synth) -> None:
    """Put the music of an unpacked package into a folder, as files that soundfile reads.

    Parameters
    ----------
    unpacked : Path
    folder : Path
    prefix : str
        Beginning of the files' names.
    synth : Synth
        Plays MIDI files.
    """
    for name, paths in _songs(unpacked):
        try:
            _convert(paths, _free_name(folder, slug(f"{prefix}-{name}")), synth)
        except (TmgcError, soundfile.LibsndfileError) as error:
            LOG.warning("%s cannot be decoded and is left out (%s)", paths[0].name, first_line(error))
    for path in folder.iterdir():
        if path.name != "copyright" and seconds_of(path) < SHORTEST_SECONDS:
            path.unlink()


def _convert(paths: list[Path], target: Path, synth: Synth) -> None:
    """Write a song as ``target`` with the ending of its format; what is too short is not written."""
    ending = paths[0].suffix.lower()
    if ending in MODULES:
        _render_module(paths[0], target.with_suffix(".ogg"))
    elif ending in MIDI:
        write_ogg(target.with_suffix(".ogg"), synth.play(paths[0])[: LONGEST_RENDERED * SAMPLE_RATE])
    elif len(paths) > 1:
        write_ogg(target.with_suffix(".ogg"), *_mixed(paths))
    elif seconds_of(paths[0]) >= SHORTEST_SECONDS:
        shutil.copyfile(paths[0], target.with_suffix(ending))


def _songs(unpacked: Path) -> Iterator[tuple[str, list[Path]]]:
    """Name and files of each song: one file, or the stems of a song of Frets on Fire (guitar, rhythm, the others)."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(unpacked.rglob("*")):
        if path.suffix.lower() in AUDIO | MODULES | MIDI and path.is_file():
            by_folder[path.parent].append(path)
    for parent, paths in by_folder.items():
        if {path.name for path in paths} >= {"guitar.ogg", "song.ogg"}:
            yield slug(parent.name), [path for path in paths if path.suffix == ".ogg"]
        else:
            yield from ((slug(path.stem), [path]) for path in paths)


def _free_name(folder: Path, name: str) -> Path:
    """A path without ending that no file in the folder has yet."""
    taken = {path.stem for path in folder.iterdir()}
    numbered = (f"{name}-{number}" for number in range(2, 10_000))
    return folder / (name if name not in taken else next(other for other in numbered if other not in taken))


def _mixed(paths: list[Path]) -> tuple[np.ndarray, int]:
    """Sum of files of one sample rate, mono, as loud as full scale allows."""
    decoded = [soundfile.read(path, dtype="float32", always_2d=True) for path in paths]
    total = np.zeros(max(len(samples) for samples, _ in decoded), np.float32)
    for samples, _ in decoded:
        total[: len(samples)] += samples.mean(axis=1)
    return total / max(1.0, float(np.abs(total).max())), decoded[0][1]


def _render_module(path: Path, target: Path) -> None:
    """Render a tracker module with ffmpeg, at most :data:`LONGEST_RENDERED` seconds of it."""
    options = ("-nostdin", "-v", "error", "-y", "-t", str(LONGEST_RENDERED), "-i", str(path))
    Program((need("ffmpeg", "ffmpeg"),)).run(*options, "-ac", "1", "-ar", str(SAMPLE_RATE), str(target))


@dataclass(frozen=True)
class Synth:
    """FluidSynth with a sound font."""

    fluidsynth: Program
    sound_font: Path
    """With the instruments of General MIDI."""

    def play(self, midi: Path, *, dry: bool = False) -> np.ndarray:
        """Play a MIDI file.

        Parameters
        ----------
        midi : Path
        dry : bool
            Without reverberation and chorus.

        Returns
        -------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1], SAMPLE_RATE
            Mono, its peak at 0.9.

        Raises
        ------
        TmgcError
            Nothing is heard.
        """
        effects = ("-R", "0", "-C", "0") if dry else ()
        output = ("-r", str(SAMPLE_RATE), "-O", "s16", "-T", "raw", "-F", "-")
        raw = self.fluidsynth.run("-ni", "-q", "-g", "0.5", *output, *effects, str(self.sound_font), str(midi))
        stereo = np.frombuffer(raw[: len(raw) // 4 * 4], "<i2").reshape(-1, 2)
        samples = stereo.mean(axis=1, dtype=np.float32) / 32768
        if not samples.any():
            raise TmgcError(f"FluidSynth plays nothing from {midi.name}: see that {self.sound_font} is a sound font")
        played: np.ndarray = samples * np.float32(0.9 / np.abs(samples).max())
        return played
