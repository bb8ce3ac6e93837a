"""The folder of a preparation that goes on: it can be killed at any moment, and goes on from there.

``RUN/.preparing`` holds the clips' sound, their pictures, and a journal with a line for each song that was cut, written
once the song's files are whole. When all songs are cut the corpus is put together here and takes the place of an
earlier one in the run, which until then is untouched.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.files import written_whole
from train.corpus import Corpus, write_clips, write_settings
from train.preparing.cutting import MARGIN_SECONDS, SILENT_DBFS, CutClip, CutSong, stamp_of
from train.preparing.record import NAME, unchanged, write_record
from train.preparing.settings import PrepareSettings
from train.preparing.songs import Skipped, Song
from train.run import Run

FOLDER_NAME = ".preparing"

_SHAPE = 2
"""Of the journal's lines. A journal of another is not read, and its songs are cut again."""


class Staging:
    """What a preparation of a run has made so far.

    Parameters
    ----------
    run : Run
        The run that is prepared.
    """

    def __init__(self, run: Run) -> None:
        self.run = Run(run.folder / FOLDER_NAME)
        self.pictures = self.run.folder / "pictures"
        self._journal = self.run.folder / "journal.jsonl"
        self._target = run

    def earlier(self, digest: str) -> tuple[Corpus, list[Skipped]] | None:
        """The corpus of the run and what it left out, if it was prepared from the same and is whole.

        Parameters
        ----------
        digest : str
            Of :func:`train.preparing.record.digest_of`.
        """
        if self.run.corpus_csv.is_file():
            self._take_place()  # killed while the new corpus, which was whole, took the place of the old
        return unchanged(self._target, digest)

    def resume(self, songs: Iterable[Song], settings: PrepareSettings) -> dict[str, CutSong]:
        """Take up what an earlier preparation was interrupted in, and make the folders.

        Parameters
        ----------
        songs : iterable of Song
        settings : PrepareSettings
            Clips that were cut with other settings are thrown away. Shares and seed do not matter to a clip.

        Returns
        -------
        cut : dict of str to CutSong
            Songs that are cut already and have not changed since, by their path below the folder of songs. Those that
            gave no clip are tried again.
        """
        key = _key(settings)
        cut = {}
        if self._lines(key):
            self._gather_pictures()
            stamps = {song.below: song.path for song in songs}
            recorded = (_from_json(document) for document in self._lines(key))
            cut = {song.song: song for song in recorded if song.song in stamps and self._holds(song, stamps[song.song])}
        else:
            shutil.rmtree(self.run.folder, ignore_errors=True)
        for folder in (self.run.clips, self.pictures):
            folder.mkdir(parents=True, exist_ok=True)
        with written_whole(self._journal) as path, path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(document) + "\n" for document in (key, *map(_to_json, cut.values())))
        return cut

    def record(self, song: CutSong) -> None:
        """Note that all files of a song are written."""
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_to_json(song)) + "\n")

    def finish(
        self, corpus: Corpus, duplicates: Iterable[tuple[Any, ...]], skipped: Sequence[Skipped], digest: str
    ) -> Corpus:
        """Put the corpus together and in the place of an earlier one.

        Parameters
        ----------
        corpus : Corpus
            Of any run; its clips have been cut.
        duplicates : iterable of tuple
            Rows of ``duplicates.csv``.
        skipped : sequence of Skipped
        digest : str
            Of all that the corpus follows from.
        """
        staged = replace(corpus, run=self.run)
        listed = {clip.name for clip in staged.clips}
        for clip in staged.clips:
            picture = clip.picture(self.run)
            picture.parent.mkdir(parents=True, exist_ok=True)
            (self.pictures / picture.name).replace(picture)
        for path in self.run.clips.iterdir():
            if path.stem not in listed:  # of a song that has gone, or half written
                path.unlink()
        write_settings(staged)
        write_table(self.run.duplicates_csv, duplicates)
        unlisted = Run(self.run.folder / "last")
        write_clips(replace(staged, run=unlisted))
        write_record(staged, unlisted.corpus_csv, digest, skipped)
        unlisted.corpus_csv.replace(self.run.corpus_csv)
        self._take_place()
        return replace(corpus, run=self._target)

    def _take_place(self) -> None:
        """Put the new corpus in the place of an earlier one. Interrupted, it can be done again."""
        made, target = self.run, self._target
        target.corpus_csv.unlink(missing_ok=True)
        old = made.folder / "old"
        for new, place in (
            (made.corpus_json, target.corpus_json),
            (made.skipped_csv, target.skipped_csv),
            (made.duplicates_csv, target.duplicates_csv),
            (made.folder / NAME, target.folder / NAME),
            (made.clips, target.clips),
            (made.images, target.images),
            (made.corpus_csv, target.corpus_csv),
        ):
            if not new.exists():
                continue  # it was there before an interruption
            if place.is_dir():  # renaming is quicker than removing, and nothing is missing for long
                shutil.rmtree(old, ignore_errors=True)
                place.replace(old)
            new.replace(place)
        shutil.rmtree(made.folder, ignore_errors=True)

    def _gather_pictures(self) -> None:
        """Take pictures back that were already given to splits."""
        for picture in list(self.run.images.rglob("*.png")):
            picture.replace(self.pictures / picture.name)
        shutil.rmtree(self.run.images, ignore_errors=True)

    def _lines(self, key: dict[str, Any]) -> list[dict[str, Any]]:
        """The journal's songs; none if there is no journal or it is for other settings."""
        try:
            with self._journal.open(encoding="utf-8") as file:
                documents = list(_whole_lines(file))
        except (OSError, UnicodeDecodeError):
            return []
        return documents[1:] if documents[:1] == [key] else []

    def _holds(self, song: CutSong, path: Path) -> bool:
        """Whether a song's clips are all here, and the song is as it was."""
        files = [self.run.clips / f"{clip.name}.flac" for clip in song.clips]
        files += [self.pictures / f"{clip.name}.png" for clip in song.clips]
        return bool(files) and stamp_of(path) == song.stamp and all(file.is_file() for file in files)


def write_table(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a CSV file; names that are not UTF-8 are readable in it, no more."""
    with (
        written_whole(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        csv.writer(file).writerows(rows)


def _key(settings: PrepareSettings) -> dict[str, Any]:
    """All that a clip's files follow from, but for the song."""
    return {
        "journal": _SHAPE,
        "offsets": list(settings.offsets_seconds),
        "spectrogram": settings.spectrogram.to_json(),
        "margin_s": MARGIN_SECONDS,
        "silent_dbfs": SILENT_DBFS,
    }


def _whole_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The documents up to a line that was not written to its end."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _to_json(song: CutSong) -> dict[str, Any]:
    clips = [(*clip[:-1], clip.fingerprint.tobytes().hex()) for clip in song.clips]
    return song._asdict() | {"clips": clips}


def _from_json(document: dict[str, Any]) -> CutSong:
    clips = [
        CutClip(name, offset, lead, level, np.frombuffer(bytes.fromhex(frames), np.uint32))
        for name, offset, lead, level, frames in document["clips"]
    ]
    left_out = [Skipped(*fields) for fields in document["left_out"]]
    return CutSong(**document | {"stamp": tuple(document["stamp"]), "clips": tuple(clips), "left_out": tuple(left_out)})
