"""Songs whose tags are written and undone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mutagen

from edge_runtime.archive.journal import Journal
from edge_runtime.archive.results import Archive
from edge_runtime.archive.tags import Done, WriteSettings, undo_tags, write_tags
from tests.edge_runtime.archive.made import make_archive, row

GENRE = WriteSettings()
OWN = WriteSettings(field="TMGC_GENRE")


def archive_of(music: Path, *, genre: str = "Arabesk", confidence: float = 0.9) -> Archive:
    names = sorted(path.relative_to(music).as_posix() for path in music.rglob("*") if not path.is_dir())
    return make_archive(music.parent / "out", [row(name, music, genre, confidence) for name in names])


def write(archive: Archive, settings: WriteSettings = GENRE) -> dict[str, Done]:
    with Journal(archive.folder) as journal:
        return by_name(write_tags(archive, settings, journal=journal))


def undo(archive: Archive) -> dict[str, Done]:
    with Journal(archive.folder) as journal:
        return by_name(undo_tags(archive.folder, journal=journal))


def by_name(songs: Iterable[Done]) -> dict[str, Done]:
    return {Path(song.path).name: song for song in songs}


def outcomes(songs: dict[str, Done]) -> set[str]:
    return {song.outcome for song in songs.values()}


def only(music: Path, name: str) -> Path:
    for path in music.iterdir():
        if path.name != name:
            path.unlink()
    return music / name


def read_back(path: Path) -> list[str]:
    easy: Any = mutagen.File(path, easy=True)
    return list(easy.get("genre", []))


def lengthen(song: Path) -> None:
    """As somebody else does."""
    song.write_bytes(song.read_bytes() + b"\0")
