"""Tells whether a run was prepared from just these songs in just this way, and its files are as they were left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_runtime.errors import TmgcError
from edge_runtime.files import written_whole
from train.corpus import Corpus, read_corpus
from train.libraries import versions
from train.preparing.cutting import stamp_of
from train.preparing.settings import PrepareSettings
from train.preparing.songs import Skipped, Song
from train.run import Run

NAME = "prepared.json"


def digest_of(
    songs: Iterable[Song],
    left_out: Sequence[Skipped],
    groups: Mapping[str, str] | None,
    settings: PrepareSettings,
    *,
    demonstration: bool,
) -> str:
    """SHA-256 of all that a corpus follows from; a song counts by its path, its size and the time of its last change.

    Parameters
    ----------
    songs : iterable of Song
    left_out : sequence of Skipped
        Files that are no songs.
    groups : mapping of str to str, or None
    settings : PrepareSettings
    demonstration : bool
        Whether the songs are synthesised.
    """
    stamps = [(song.below, *stamp_of(song.path)) for song in songs]
    return _sha256([versions(["tmgc"]), asdict(settings), stamps, left_out, groups, demonstration])


def write_record(corpus: Corpus, corpus_csv: Path, digest: str, skipped: Sequence[Skipped]) -> None:
    """Note in a whole run what it was prepared from.

    Parameters
    ----------
    corpus : Corpus
        All its files are written.
    corpus_csv : Path
        Where its list stands until the rest is whole.
    digest : str
        Of :func:`digest_of`.
    skipped : sequence of Skipped
    """
    document = {"inputs": digest, "files": _files(corpus, corpus_csv), "skipped": skipped}
    with written_whole(corpus.run.folder / NAME) as path:
        path.write_text(json.dumps(document), "utf-8")


def unchanged(run: Run, digest: str) -> tuple[Corpus, list[Skipped]] | None:
    """What a run holds, if it was prepared from this and no file of it has changed since.

    Parameters
    ----------
    run : Run
    digest : str
        Of :func:`digest_of`.
    """
    try:
        document = json.loads((run.folder / NAME).read_text("utf-8"))
        if document["inputs"] != digest or not run.corpus_csv.is_file():
            return None
        corpus = read_corpus(run)
        if document["files"] != _files(corpus, run.corpus_csv):
            return None
        return corpus, [Skipped(*fields) for fields in document["skipped"]]
    except (OSError, ValueError, KeyError, TypeError, TmgcError):
        return None


def _files(corpus: Corpus, corpus_csv: Path) -> str:
    """SHA-256 of the size and the time of the last change of a corpus's files, which renaming does not alter."""
    run = corpus.run
    of_clips = (path for clip in corpus.clips for path in (clip.sound(run), clip.picture(run)))
    return _sha256([stamp_of(path) for path in (corpus_csv, run.corpus_json, *of_clips)])


def _sha256(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode("ascii")).hexdigest()
