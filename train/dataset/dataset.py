"""The clips of a run: the list in ``dataset.csv``, their sound, and their pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples, read_audio
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Colormap, SpectrogramSettings
from edge_runtime.windowing import cut_windows
from train.run import SPLITS, Run

GROUP_BY = ("song", "artist", "groups")
"""What stays on one side of the split: a file, all files of an artist, or all files of a group in ``groups.csv``."""


@dataclass(frozen=True)
class DatasetConfig:
    """How songs become clips, and which of them come to which split."""

    offsets_seconds: tuple[float, ...] = (60.0, 70.0, 80.0, 90.0)
    """Where the clips of a song begin."""
    spectrogram: SpectrogramSettings = SpectrogramSettings()
    split_ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Of each genre's songs, for train, validation and test. They add up to 1."""
    seed: int = 0
    """Which songs come to which split."""
    group_by: str | None = None
    """One of :data:`GROUP_BY`; both all files of an artist and all of a group, if None."""

    def __post_init__(self) -> None:
        different = {f"{offset:g}" for offset in self.offsets_seconds}
        if len(different) < len(self.offsets_seconds) or not all(0 <= offset < 1e6 for offset in self.offsets_seconds):
            raise TmgcError(
                f"offsets are seconds from 0 on, all different, got {list(self.offsets_seconds)}: try --offsets 60,70"
            )
        if (
            len(self.split_ratios) != 3
            or not all(share > 0 for share in self.split_ratios)
            or abs(sum(self.split_ratios) - 1) > 1e-6
        ):
            raise TmgcError(
                "shares are for train, validation and test, each above 0, and add up to 100 %, got "
                f"{[round(100 * share, 6) for share in self.split_ratios]}: try --split-ratios 80,10,10"
            )
        if self.group_by not in (None, *GROUP_BY):
            raise TmgcError(f"songs are grouped by one of {', '.join(GROUP_BY)}, got {self.group_by!r}: choose one")


_ANY_NAME: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}
"""File names need not be UTF-8, and come back as they were."""

_COLUMNS = ("clip", "song", "genre", "split", "offset_s", "lead_s", "level_dbfs", "group", "artist", "content_sha256")


@dataclass(frozen=True)
class Clip:
    """Two seconds of a song."""

    name: str
    """Unique in the run, and the stem of its files."""
    song: str
    """The song's path below its dataset."""
    genre: str
    split: str
    """``train``, ``validation`` or ``test``."""
    offset_seconds: float
    """Where the clip begins in its song."""
    lead_seconds: float
    """Sound before the clip in its FLAC file."""
    level_dbfs: float
    """Root mean square, dBFS."""
    group: str
    """The first song of those that the split keeps whole, since they share an artist, a group or their sound: often
    the song alone. Songs of one group are alike, so that intervals are drawn over groups."""
    artist: str = ""
    """As the song's tags name it, or nothing."""
    content_sha256: str = ""
    """Of the song's file."""

    def audio_path(self, run: Run) -> Path:
        """The FLAC file with the clip and a margin on both sides."""
        return run.clips / f"{self.name}.flac"

    def image_path(self, run: Run) -> Path:
        """The PNG file."""
        return run.images / self.split / self.genre / f"{self.name}.png"


@dataclass(frozen=True)
class Dataset:
    """What a run was prepared from, and its clips."""

    run: Run
    genres: tuple[str, ...]
    """In the order of the network's outputs."""
    spectrogram: SpectrogramSettings
    colormap: Colormap
    demonstration: bool
    """Synthesised music: nothing that is learned from it says anything about real music."""
    clips: tuple[Clip, ...]

    def fingerprint(self) -> str:
        """SHA-256 of the clips, the split that each is on, and the settings of their pictures."""
        return "-".join(sha256_of(path) for path in (self.run.dataset_csv, self.run.dataset_json))

    def trained(self, card: ModelCard) -> bool:
        """Whether the model of a card was trained on these clips, split in this way."""
        return bool(card.training.get("dataset_sha256") == self.fingerprint())

    def check_trained(self, card: ModelCard) -> None:
        """Hold a model against the clips: one that was trained on another split may know the songs that judge it.

        Raises
        ------
        TmgcError
            The run was prepared anew after it was trained.
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
        """Index of each clip's genre, ``[shape=(n_clips,)], int64``."""
        index = {genre: number for number, genre in enumerate(self.genres)}
        return np.array([index[clip.genre] for clip in clips], np.int64)

    def index_images(self, clips: Sequence[Clip]) -> NDArray[np.uint8]:
        """The clips' pictures before they are coloured.

        Returns
        -------
        grey : np.ndarray [shape=(n_clips, image_height, image_width)], uint8
            Indices into the colormap: a third of the memory of the pictures.
        """
        from PIL import Image

        height, width = self.spectrogram.image_height, self.spectrogram.image_width
        grey = np.empty((len(clips), height, width), np.uint8)
        for number, clip in enumerate(clips):
            try:
                with Image.open(clip.image_path(self.run)) as image:
                    grey[number] = np.asarray(image)
            except (OSError, ValueError) as error:
                raise TmgcError(
                    f"a clip's picture must be there: {clip.image_path(self.run)} cannot be read "
                    f"({first_line(error)}). Run: tmgc-train prepare"
                ) from error
        return grey

    def images(self, clips: Sequence[Clip]) -> NDArray[np.uint8]:
        """The clips' pictures, ``[shape=(n_clips, image_height, image_width, 3)], uint8``."""
        pictures: NDArray[np.uint8] = self.colormap[self.index_images(clips)]
        return pictures

    def sound(self, clip: Clip) -> Samples:
        """A clip's sound with its margins.

        Returns
        -------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
            At the spectrogram's rate; from the beginning of the clip on, a window or more.

        Raises
        ------
        TmgcError
            The file is missing or damaged, or ends before the clip does.
        """
        sound = read_audio(clip.audio_path(self.run), sample_rate=self.spectrogram.sample_rate)
        if len(sound) < round(clip.lead_seconds * self.spectrogram.sample_rate) + self.spectrogram.window_samples:
            raise TmgcError(
                f"a clip's sound must be whole: {clip.audio_path(self.run)} is too short. Run: tmgc-train prepare"
            )
        return sound

    def samples(self, clip: Clip) -> Samples:
        """A clip's sound without margins, ``[shape=(window_samples,)], float32 in [-1, 1]``."""
        first = round(clip.lead_seconds * self.spectrogram.sample_rate)
        return self.sound(clip)[first : first + self.spectrogram.window_samples]

    def windows(self, clips: Iterable[Clip], *, hop_seconds: float) -> Iterator[tuple[Clip, Samples]]:
        """Every window that the clips' sound holds, margins included, as a listener would cut them.

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
            for window in cut_windows([self.sound(clip)], self.spectrogram, hop_seconds=hop_seconds):
                yield clip, window.samples


def write_settings(dataset: Dataset) -> None:
    """Write ``dataset.json``, which marks the folder as a run, before its first clip."""
    document: dict[str, Any] = {
        "genres": list(dataset.genres),
        "spectrogram": dataset.spectrogram.to_json(),
        "colormap": dataset.colormap.tolist(),
        "demonstration": dataset.demonstration,
    }
    with atomic_write(dataset.run.dataset_json) as path:
        path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def write_clips(dataset: Dataset) -> None:
    """Write ``dataset.csv``, whose presence says that the dataset is whole."""
    with atomic_write(dataset.run.dataset_csv) as path, path.open("w", newline="", **_ANY_NAME) as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for clip in dataset.clips:
            numbers = (f"{clip.offset_seconds:.3f}", f"{clip.lead_seconds:.6f}", f"{clip.level_dbfs:.1f}")
            origin = (clip.group, clip.artist, clip.content_sha256)
            writer.writerow((clip.name, clip.song, clip.genre, clip.split, *numbers, *origin))


def read_dataset(run: Run) -> Dataset:
    """The dataset of a run.

    Raises
    ------
    TmgcError
        The run has not been prepared.
    """
    if not run.existing().dataset_csv.is_file():
        raise TmgcError(f"a prepared run holds {run.dataset_csv.name}: {run.folder} does not. Run: tmgc-train prepare")
    try:
        return _parsed(run)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, csv.Error) as error:
        raise TmgcError(
            f"{run.dataset_csv}, {run.dataset_json.name} cannot be read: {type(error).__name__}, {first_line(error)}. "
            "Run: tmgc-train prepare"
        ) from error


def _parsed(run: Run) -> Dataset:
    document = json.loads(run.dataset_json.read_text("utf-8"))
    with run.dataset_csv.open(newline="", **_ANY_NAME) as file:
        rows = list(csv.DictReader(file, strict=True))
    if not rows or any(row["split"] not in SPLITS or row["genre"] not in document["genres"] for row in rows):
        raise ValueError("every clip needs a known split and genre, and there must be one")
    if not isinstance(document["genres"], list) or len(set(document["genres"])) != len(document["genres"]):
        raise ValueError("genres are a list of different names")
    if not all(0.0 <= float(row["lead_s"]) < 60.0 for row in rows):
        raise ValueError("lead_s is seconds from 0 on")
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
