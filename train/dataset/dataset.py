"""The dataset of a run: its clips with their labels and splits, their audio and their index images.

``dataset.csv`` has a row for each clip; ``dataset.json`` holds the genres and the settings of the images. A run has a
dataset if ``dataset.csv`` exists.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, csv_cell
from edge_runtime.model_card import ModelCard, check_genres
from edge_runtime.spectrogram import Colormap, SpectrogramSettings
from edge_runtime.windowing import cut_windows
from train.run import SPLITS, Run

GROUP_BY = ("song", "artist", "groups")
"""What must not be divided among splits: a file, the files of an artist, or the files of a group in ``groups.csv``."""

COLORMAPS = ("magma", "gray")
"""Names of colormaps: magma has three channels, gray one."""

_MOST_WINDOWS = 100
"""Windows of a song: all are in memory at once, half a megabyte each."""


@dataclass(frozen=True)
class DatasetConfig:
    """How clips are extracted from songs, and how songs are divided among train, validation and test."""

    offsets_seconds: tuple[float, ...] = (60.0, 70.0, 80.0, 90.0)
    """Start of each clip in its song, seconds, in [0, 1e6), all different."""
    windows_per_song: int | None = None
    """Clips of a song, in [1, 100]: those at the offsets that it is long enough for, and others, spread evenly over the
    rest of it. None: those at the offsets alone."""
    spectrogram: SpectrogramSettings = SpectrogramSettings()
    colormap: str = COLORMAPS[0]
    """One of :data:`COLORMAPS`."""
    split_ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Fractions of each genre's songs for train, validation and test, each above 0, with sum 1."""
    seed: int = 0
    """Seed of the split."""
    group_by: str | None = None
    """One of :data:`GROUP_BY`; None groups by artist and by ``groups.csv``."""
    split_folders: bool = False
    """Whether folders named ``train``, ``validation`` and ``test`` are the splits: see :mod:`train.dataset.layout`."""

    def __post_init__(self) -> None:
        different = {f"{offset:g}" for offset in self.offsets_seconds}
        if len(different) < len(self.offsets_seconds) or not all(0 <= offset < 1e6 for offset in self.offsets_seconds):
            raise TmgcError(
                f"offsets are seconds from 0 on, all different, got {list(self.offsets_seconds)}: try --offsets 60,70"
            )
        if self.windows_per_song is not None and not max(1, len(different)) <= self.windows_per_song <= _MOST_WINDOWS:
            raise TmgcError(
                f"windows per song include those at the offsets, and are at most {_MOST_WINDOWS}, got "
                f"{self.windows_per_song} for {len(different)} offsets: try --windows-per-song 8, or other --offsets"
            )
        if (
            len(self.split_ratios) != len(SPLITS)
            or not all(ratio > 0 for ratio in self.split_ratios)
            or abs(sum(self.split_ratios) - 1) > 1e-6
        ):
            raise TmgcError(
                "split ratios must be three, for train, validation and test, each above 0, and add up to 100 %, got "
                f"{[round(100 * ratio, 6) for ratio in self.split_ratios]}: try --split-ratios 80,10,10"
            )
        if self.group_by not in (None, *GROUP_BY):
            raise TmgcError(f"group-by must be one of {', '.join(GROUP_BY)}, got {self.group_by!r}: choose one")


@dataclass(frozen=True)
class Clip:
    """A clip of one window, 2 seconds by default, of a song."""

    name: str
    """Unique in the run: the stem of the clip's files."""
    song: str
    """The song's path relative to the folder of songs."""
    genre: str
    split: str
    """``train``, ``validation`` or ``test``."""
    offset_seconds: float
    """Start of the clip in its song, seconds."""
    lead_seconds: float
    """Audio before the clip in its FLAC file, seconds >= 0."""
    level_dbfs: float
    """Root mean square, dBFS."""
    group: str
    """The first song of the clip's group: songs with a common artist, group or audio, all in one split. Often the song
    alone. Songs of a group are not independent, so confidence intervals resample groups."""
    artist: str = ""
    """Artists in the song's tags, separated by ``; ``; empty if there is none."""
    content_sha256: str = ""
    """SHA-256 of the song's file."""

    @property
    def is_correction(self) -> bool:
        """Whether it is an image that a listener's user has corrected, which has no audio.

        Its ``song`` is the name of the correction: every other one is in the folder of its genre.
        """
        return "/" not in self.song

    @property
    def source(self) -> str:
        """Song and offset: equal for clips of the same moment of the same song, whatever the settings of their run."""
        return f"{self.song}@{self.offset_seconds:.3f}s"

    def audio_path(self, run: Run) -> Path:
        """The FLAC file: the clip with a margin on both sides."""
        return run.clips / f"{self.name}.flac"

    def image_path(self, run: Run) -> Path:
        """The PNG file: the index image with its colormap as the palette."""
        return run.images / f"{self.name}.png"


@dataclass(frozen=True)
class Dataset:
    """The clips of a run with their labels, and the settings of their images."""

    run: Run
    genres: tuple[str, ...]
    """In the order of the model's outputs."""
    spectrogram: SpectrogramSettings
    colormap: Colormap
    demonstration: bool
    """Whether the songs are synthesised: results say nothing about real music."""
    clips: tuple[Clip, ...]

    def fingerprint(self) -> str:
        """SHA-256 of what training depends on: the content, genre and split of each clip, and the image settings."""
        clips = sorted((clip.content_sha256, clip.source, clip.genre, clip.split) for clip in self.clips)
        return hashlib.sha256(json.dumps([_settings(self), clips], sort_keys=True).encode("ascii")).hexdigest()

    def trained(self, card: ModelCard) -> bool:
        """Whether the model of a card was trained on this dataset with this split."""
        return bool(card.training.get("dataset_sha256") == self.fingerprint())

    def check_trained(self, card: ModelCard) -> None:
        """Check that a model was trained with this split: otherwise test songs may have been training songs.

        Raises
        ------
        TmgcError
            The dataset was prepared anew after the training.
        """
        if not self.trained(card):
            raise TmgcError(
                f"a run's model must have been trained on its clips: {self.run.folder} was prepared anew since, and "
                "what was a training song may now be a test song. Run: tmgc-train fit"
            )

    def of(self, split: str) -> list[Clip]:
        """The clips of one split, in the order of ``dataset.csv``."""
        return [clip for clip in self.clips if clip.split == split]

    def labels(self, clips: Sequence[Clip]) -> NDArray[np.int64]:
        """Index of each clip's genre, ``np.ndarray [shape=(n_clips,)], int64 in [0, n_genres)``."""
        index = {genre: number for number, genre in enumerate(self.genres)}
        return np.array([index[clip.genre] for clip in clips], np.int64)

    def index_images(self, clips: Sequence[Clip]) -> NDArray[np.uint8]:
        """Read the index images of clips.

        Parameters
        ----------
        clips : sequence of Clip

        Returns
        -------
        images : np.ndarray [shape=(n_clips, image_height, image_width)], uint8
            Indices into the colormap: a third of the memory of RGB images.

        Raises
        ------
        TmgcError
            A file is missing or damaged.
        """
        from PIL import Image

        height, width = self.spectrogram.image_height, self.spectrogram.image_width
        images = np.empty((len(clips), height, width), np.uint8)
        for number, clip in enumerate(clips):
            try:
                with Image.open(clip.image_path(self.run)) as image:
                    images[number] = np.asarray(image)
            except (OSError, ValueError) as error:
                raise TmgcError(
                    f"a clip's image must exist and be readable: {clip.image_path(self.run)} is not "
                    f"({first_line(error)}). Run: tmgc-train prepare"
                ) from error
        return images

    def images(self, clips: Sequence[Clip]) -> NDArray[np.uint8]:
        """Read the images of clips, ``np.ndarray [shape=(n_clips, image_height, image_width, channels)], uint8``."""
        images: NDArray[np.uint8] = self.colormap[self.index_images(clips)]
        return images

    def audio(self, clip: Clip) -> Samples:
        """Read the audio of a clip with its margins, as it was written: it is mono and its offset removed.

        Returns
        -------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
            At the spectrogram's sample rate. The clip begins after ``lead_seconds`` and is complete.

        Raises
        ------
        TmgcError
            The file is missing, damaged or too short.
        """
        import soundfile

        if clip.is_correction:
            raise TmgcError(
                f"this needs the audio of every clip: correction {clip.song} is an image without any. Prepare a run "
                "without --corrections"
            )
        path = clip.audio_path(self.run)
        try:
            audio, _ = soundfile.read(path, dtype="float32")
        except (OSError, soundfile.LibsndfileError) as error:
            raise TmgcError(
                f"a clip's audio must exist and be readable: {path} is not ({first_line(error)}). "
                "Run: tmgc-train prepare"
            ) from error
        if len(audio) < round(clip.lead_seconds * self.spectrogram.sample_rate) + self.spectrogram.window_samples:
            raise TmgcError(f"a clip's audio must be complete: {path} is too short. Run: tmgc-train prepare")
        samples: Samples = audio
        return samples

    def samples(self, clip: Clip) -> Samples:
        """Read the audio of a clip without margins, ``np.ndarray [shape=(window_samples,)], float32 in [-1, 1]``."""
        first = round(clip.lead_seconds * self.spectrogram.sample_rate)
        return self.audio(clip)[first : first + self.spectrogram.window_samples]

    def windows(self, clips: Iterable[Clip], *, hop_seconds: float) -> Iterator[tuple[Clip, Samples]]:
        """All windows in the audio of clips, margins included, cut as the listener cuts a stream.

        Parameters
        ----------
        clips : iterable of Clip
        hop_seconds : float > 0, seconds

        Yields
        ------
        clip : Clip
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
        """
        for clip in clips:
            for window in cut_windows([self.audio(clip)], self.spectrogram, hop_seconds=hop_seconds):
                yield clip, window.samples


def write_dataset(dataset: Dataset, reports: Mapping[Path, bytes] | None = None) -> bool:
    """Write ``dataset.json`` and ``dataset.csv``, so that they are never read together with those of another dataset.

    All contents are on the disk, under other names, before the first file is replaced: a full disk loses nothing.
    ``dataset.csv`` is removed first and comes back last, after ``dataset.json``, which marks a folder as a run.

    Parameters
    ----------
    dataset : Dataset
    reports : mapping of Path to bytes, optional
        Further files to write together with these.

    Returns
    -------
    changed : bool
        False if all files have these contents already; then nothing is written.
    """
    run = dataset.run
    settings = json.dumps(_settings(dataset), ensure_ascii=False).encode("utf-8")
    contents = {run.dataset_csv: _table(dataset.clips), **(reports or {}), run.dataset_json: settings}
    if all(path.is_file() and path.read_bytes() == content for path, content in contents.items()):
        return False
    with ExitStack() as replacements:  # made in reverse order: dataset.json first, dataset.csv last
        for path, content in contents.items():
            replacements.enter_context(atomic_write(path)).write_bytes(content)
        run.dataset_csv.unlink(missing_ok=True)
    return True


def read_dataset(run: Run) -> Dataset:
    """Read the dataset of a run.

    Raises
    ------
    TmgcError
        The run has no dataset, or a file of it is damaged.
    """
    if not run.existing().dataset_csv.is_file():
        raise TmgcError(f"a prepared run holds {run.dataset_csv.name}: {run.folder} does not. Run: tmgc-train prepare")
    try:
        return _parsed(run)
    except TmgcError as error:
        raise TmgcError(f"{run.dataset_json}: {error}. Run: tmgc-train prepare") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, csv.Error) as error:
        raise TmgcError(
            f"{run.dataset_csv}, {run.dataset_json.name} cannot be read: {type(error).__name__}, {first_line(error)}. "
            "Run: tmgc-train prepare"
        ) from error


_ANY_NAME: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}
"""File names need not be UTF-8: their bytes are kept."""

_COLUMNS = ("clip", "song", "genre", "split", "offset_s", "lead_s", "level_dbfs", "group", "artist", "content_sha256")


def _settings(dataset: Dataset) -> dict[str, Any]:
    return {
        "genres": list(dataset.genres),
        "spectrogram": dataset.spectrogram.to_json(),
        "colormap": dataset.colormap.tolist(),
        "demonstration": dataset.demonstration,
    }


def _table(clips: Iterable[Clip]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for clip in clips:
        numbers = (f"{clip.offset_seconds:.3f}", f"{clip.lead_seconds:.6f}", f"{clip.level_dbfs:.1f}")
        origin = (clip.group, csv_cell(clip.artist), clip.content_sha256)
        writer.writerow((clip.name, clip.song, clip.genre, clip.split, *numbers, *origin))
    return file.getvalue().encode(**_ANY_NAME)


def _parsed(run: Run) -> Dataset:
    document = json.loads(run.dataset_json.read_text("utf-8"))
    with run.dataset_csv.open(newline="", **_ANY_NAME) as file:
        rows = list(csv.DictReader(file, strict=True))
    _check_settings(document)
    _check_rows(rows, document["genres"])
    return Dataset(
        run=run,
        genres=tuple(document["genres"]),
        spectrogram=SpectrogramSettings.from_json(document["spectrogram"]),
        colormap=np.array(document["colormap"], np.uint8),
        demonstration=document["demonstration"],
        clips=tuple(
            Clip(
                name=row["clip"],
                song=row["song"],
                genre=row["genre"],
                split=row["split"],
                offset_seconds=float(row["offset_s"]),
                lead_seconds=float(row["lead_s"]),
                level_dbfs=float(row["level_dbfs"]),
                group=row["group"],
                artist=row["artist"],
                content_sha256=row["content_sha256"],
            )
            for row in rows
        ),
    )


def _check_settings(document: Mapping[str, Any]) -> None:
    genres, colormap = document["genres"], np.array(document["colormap"])
    if not isinstance(genres, list):
        raise ValueError("genres must be a list of different names")
    check_genres(genres)
    if (
        colormap.shape not in ((256, 1), (256, 3))
        or colormap.dtype.kind != "i"
        or colormap.min() < 0
        or colormap.max() > 255
    ):
        raise ValueError("colormap must be 256 colours, each one or three integers from 0 to 255")
    if not isinstance(document["demonstration"], bool):
        raise ValueError("demonstration must be true or false")


def _check_rows(rows: Sequence[Mapping[str, Any]], genres: Sequence[str]) -> None:
    if any(set(row) != set(_COLUMNS) or None in row.values() for row in rows):
        raise ValueError(f"every row must have the columns {', '.join(_COLUMNS)}")
    if not rows or any(row["split"] not in SPLITS or row["genre"] not in genres for row in rows):
        raise ValueError("there must be clips, each with a known split and genre")
    names = {row["clip"] for row in rows}
    if len(names) != len(rows) or any(not name or "/" in name or "\\" in name for name in names):
        raise ValueError("clips must have different names, which are no paths")
    if not all(0.0 <= float(row["lead_s"]) < 60.0 for row in rows):
        raise ValueError("lead_s must be in [0, 60) seconds")
    if not all(0.0 <= float(row["offset_s"]) < 1e6 and math.isfinite(float(row["level_dbfs"])) for row in rows):
        raise ValueError("offset_s must be in [0, 1e6) seconds, and level_dbfs a number")
