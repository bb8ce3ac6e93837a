"""Windows of unlabelled music with a teacher's targets, one pair of files for each piece of music.

All files of a piece have a hash in their names: of its path, size and mtime, and of all that its windows depend on.
The targets are written last: a piece whose targets exist is done, so that an interrupted command goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from logging import getLogger
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples, level_dbfs
from edge_runtime.audio_file import AUDIO_SUFFIXES, AudioFile
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import PARTIAL, atomic_write, remove_tree
from edge_runtime.spectrogram import Colormap, Spectrogram, SpectrogramSettings
from edge_runtime.system_info import usable_cores
from edge_runtime.walk import walk
from edge_runtime.windowing import cut_windows
from edge_runtime.workers import Lost, work_through
from train.dataset.discover import NOT_AUDIO, Skipped
from train.dataset.extract import SILENT_DBFS
from train.dataset.file_names import readable_paths
from train.libraries import silence
from train.progress import Reporter
from train.teachers import Teacher

_log = getLogger("tmgc.pretraining")

_FORMAT = 2
"""Part of every file name: increase it when windows are cut in another way."""

_VALIDATION = 0.05
"""Share of the pieces that are not trained on."""

_FOLDERS = 10
"""With so many folders or more, whole ones are kept for validation: pieces of an album are alike."""


class Piece(NamedTuple):
    """A file of music."""

    path: Path
    name: str
    """Readable and unique."""


class WindowSettings(NamedTuple):
    """What the windows of a piece depend on."""

    spectrogram: SpectrogramSettings
    windows_per_song: int
    """Windows of a piece at most, spread evenly over its sound."""
    teacher_sha256: str
    """Of the teacher's weights."""
    teacher_rate: int
    """Hz, of the windows that the teacher hears."""


class Windows(NamedTuple):
    """Windows of all pieces, in the order of the pieces."""

    images: list[NDArray[np.uint8]]
    """Index images of each piece, ``[shape=(n_windows, image_height, image_width)]``, mapped from its file."""
    targets: list[NDArray[np.float16]]
    """The teacher's outputs for each piece, ``[shape=(n_windows, n_targets)]``."""


def find_music(folders: Sequence[Path]) -> tuple[list[Piece], list[Skipped]]:
    """All audio files in folders, and why other files are none; a file may be named, too.

    Raises
    ------
    TmgcError
        A folder does not exist, or there is no audio in any of them.
    """
    paths, skipped = list[Path](), list[Skipped]()
    for folder in folders:
        if folder.is_file():
            paths.append(folder)
            continue
        if not folder.is_dir():
            raise TmgcError(f"music is a folder or a file: there is no {folder}. Check the path")
        for path, reason in walk(folder):
            if reason or not path.lower().endswith(AUDIO_SUFFIXES):
                skipped.append(Skipped(str(folder / path), reason or NOT_AUDIO))
            else:
                paths.append(folder / path)
    if not paths:
        raise TmgcError(
            f"a pretraining needs music: no file in {', '.join(map(str, folders))} has the name of an audio file "
            f"({', '.join(AUDIO_SUFFIXES)}). Name another folder"
        )
    names = readable_paths([str(path) for path in paths])
    pieces = {path.resolve(): Piece(path, names[str(path)]) for path in sorted(paths)}
    return list(pieces.values()), skipped


class MusicFolder:
    """The windows of all pieces in a folder of their own.

    Parameters
    ----------
    folder : Path
    settings : WindowSettings
    colormap : np.ndarray [shape=(256, channels)], uint8
    """

    def __init__(self, folder: Path, settings: WindowSettings, colormap: Colormap) -> None:
        self._folder, self._settings, self._colormap = folder, settings, colormap
        self._stems: dict[Piece, str] = {}

    def extract(
        self, pieces: Sequence[Piece], teacher: Teacher, reporter: Reporter, *, workers: int | None = None
    ) -> tuple[list[Piece], list[Skipped]]:
        """Extract the windows of all pieces that are not done, and remove files of others.

        Parameters
        ----------
        pieces : sequence of Piece
        teacher : Teacher
        reporter : Reporter
            Each piece is a step.
        workers : int > 0, optional
            Processes that decode: one for each usable core by default. With 1 the work is done in this process.

        Returns
        -------
        used : list of Piece
            Those with windows.
        skipped : list of Skipped
            The others, with the reason.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        skipped = []
        for piece in pieces:
            try:
                self._stems[piece] = self._stem(piece)
            except OSError as error:
                skipped.append(Skipped(piece.name, f"cannot be read: {error.strerror}"))
        stems = self._stems
        waiting = [_Job(piece, self._settings, self._colormap) for piece in stems if not self._is_done(stems[piece])]
        if 0 < len(waiting) < len(pieces):
            _log.info("the windows of %d of %d pieces are extracted already", len(pieces) - len(waiting), len(pieces))
        reporter.phase(f"cutting windows, and asking the teacher {teacher.name} about them", len(waiting))
        with closing(_extracted(waiting, workers)) as results:
            for piece, extracted in results:
                if isinstance(extracted, str):
                    skipped.append(Skipped(piece.name, extracted))
                else:
                    self._write(stems[piece], extracted, teacher)
                reporter.step({})
        without = {item.song for item in skipped}
        self._remove_others(stems.values())
        return [piece for piece in pieces if piece.name not in without], skipped

    def read(self, pieces: Iterable[Piece]) -> Windows:
        """The windows of pieces that are extracted."""
        stems = [self._stems[piece] for piece in pieces]
        try:
            return Windows(
                [np.load(self._images(stem), mmap_mode="r") for stem in stems],
                [np.load(self._targets(stem)) for stem in stems],
            )
        except (OSError, ValueError, EOFError) as error:
            raise TmgcError(
                f"the windows in {self._folder} must be complete: one cannot be read ({first_line(error)}). Remove "
                "that folder, and run the command again"
            ) from error

    def fingerprint(self, *parts: Sequence[Piece]) -> str:
        """SHA-256 of the names of the files of all parts, which differ where anything else does."""
        names = [[self._stems[piece] for piece in part] for part in parts]
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()

    def _stem(self, piece: Piece) -> str:
        """Stem of a piece's files; taken once, since a file may change meanwhile."""
        status = piece.path.stat()
        settings = [_FORMAT, self._settings.spectrogram.to_json(), *self._settings[1:]]
        version = [piece.name, status.st_size, status.st_mtime_ns, settings]
        key = hashlib.sha256(json.dumps(version, sort_keys=True).encode("ascii")).hexdigest()[:16]
        readable = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in piece.path.stem)
        return f"{readable[:40]}_{key}"

    def _images(self, stem: str) -> Path:
        return self._folder / f"{stem}.images.npy"

    def _targets(self, stem: str) -> Path:
        return self._folder / f"{stem}.targets.npy"

    def _is_done(self, stem: str) -> bool:
        return self._images(stem).is_file() and self._targets(stem).is_file()

    def _write(self, stem: str, extracted: _Extracted, teacher: Teacher) -> None:
        targets = teacher.targets(extracted.heard).astype(np.float16)
        _write_array(self._images(stem), extracted.images)
        _write_array(self._targets(stem), targets)

    def _remove_others(self, stems: Iterable[str]) -> None:
        kept = {path.name for stem in stems for path in (self._images(stem), self._targets(stem))}
        for path in self._folder.iterdir():
            ours = path.name.endswith((".images.npy", ".targets.npy")) or path.name.startswith(PARTIAL)
            if ours and path.name not in kept:
                remove_tree(path)


def validation_pieces(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Divide pieces into those to train on and those to validate with, by a hash of their names.

    A twentieth is drawn to validate with. Of ten folders or more, whole ones are drawn, as many as that twentieth
    holds, so that no piece of the same album or package is trained on: or the smallest one, where each is larger.

    Raises
    ------
    TmgcError
        There are fewer than two.
    """
    if len(pieces) < 2:
        raise TmgcError(
            f"a pretraining needs at least two pieces of music, one to validate with: got {len(pieces)}. Add more"
        )
    count = max(1, round(_VALIDATION * len(pieces)))
    folders = _grouped(pieces, lambda piece: str(Path(piece.name).parent))
    groups = folders if len(folders) >= _FOLDERS else _grouped(pieces, lambda piece: piece.name)
    drawn = sorted(groups, key=lambda name: hashlib.sha256(name.encode("utf-8", "replace")).digest())
    drawn = [name for name in drawn if len(groups[name]) <= count] or [min(drawn, key=lambda name: len(groups[name]))]
    validation = list[Piece]()
    for name in drawn:
        if not validation or len(validation) + len(groups[name]) <= count:
            validation += groups[name]
    return sorted(set(pieces).difference(validation)), sorted(validation)


def _grouped(pieces: Iterable[Piece], key: Callable[[Piece], str]) -> dict[str, list[Piece]]:
    groups: dict[str, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(key(piece), []).append(piece)
    return groups


class _Job(NamedTuple):
    """A piece, in a form that can be sent to another process."""

    piece: Piece
    settings: WindowSettings
    colormap: Colormap


class _Extracted(NamedTuple):
    """The windows of a piece."""

    images: NDArray[np.uint8]
    """``[shape=(n_windows, image_height, image_width)]``"""
    heard: Samples
    """The same windows at the teacher's rate, ``[shape=(n_windows, n_samples)]``."""


def _extracted(jobs: Sequence[_Job], workers: int | None) -> Generator[tuple[Piece, _Extracted | str], None, None]:
    """The windows of each piece, or the reason why it has none, in any order."""
    if workers == 1:
        for job in jobs:
            with silence():
                result = _extract(job)
            yield job.piece, result
    elif jobs:
        for job, found in work_through(_extract, jobs, workers=min(len(jobs), workers or usable_cores())):
            yield job.piece, found.reason if isinstance(found, Lost) else found


def _extract(job: _Job) -> _Extracted | str:
    """Cut and convert the windows of a piece; the reason if it has none."""
    import soxr

    settings = job.settings.spectrogram
    try:
        with AudioFile(job.piece.path, sample_rate=settings.sample_rate) as file:
            windows = _spread(file, settings, job.settings.windows_per_song)
    except TmgcError as error:
        return str(error).replace(str(job.piece.path), "this one")
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # a decoder's errors about a damaged file
        return f"cannot be read: {first_line(error)}"
    if not windows:
        return f"it has no window of {settings.window_seconds:g} s above {SILENT_DBFS:g} dBFS"
    spectrogram = Spectrogram(settings, job.colormap)
    heard = [soxr.resample(samples, settings.sample_rate, job.settings.teacher_rate) for samples in windows]
    return _Extracted(np.stack([spectrogram.index_image(samples) for samples in windows]), np.stack(heard))


def _spread(file: AudioFile, settings: SpectrogramSettings, count: int) -> list[Samples]:
    """At most ``count`` windows with sound, spread evenly over a file of any length, in bounded memory.

    Windows are taken one after the other; where twice as many are kept as are needed, every second is dropped, and
    from then on every second is taken.
    """
    kept, every = list[Samples](), 1
    for number, window in enumerate(cut_windows(file.blocks(), settings, hop_seconds=settings.window_seconds)):
        if number % every or level_dbfs(window.samples) < SILENT_DBFS:
            continue
        kept.append(window.samples.copy())
        if len(kept) == 2 * count:
            kept, every = kept[::2], 2 * every
    if len(kept) <= count:
        return kept
    return [kept[index] for index in np.linspace(0, len(kept) - 1, count).round().astype(int)]


def _write_array(path: Path, array: NDArray[np.generic]) -> None:
    encoded = io.BytesIO()
    np.save(encoded, array)
    with atomic_write(path) as partial:
        partial.write_bytes(encoded.getbuffer())
