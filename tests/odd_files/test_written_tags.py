"""Odd files get tags without a change of what is heard of them, or are left as they are with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.archive.journal import Journal, State
from edge_runtime.archive.tags import Done, WriteSettings, undo_tags, write_tags
from tests.edge_runtime.archive.made import make_archive, row
from tests.odd_files.corpus import ODD_FILES, Corpus
from tests.odd_files.hearing import hear
from tests.odd_files.no_audio import SPECIAL_FILES


def by_path(songs: list[Done]) -> dict[Path, Done]:
    return {Path(song.path): song for song in songs}


@pytest.mark.full
def test_what_is_heard_of_odd_files_is_the_same_with_tags_and_when_they_are_undone(tmp_path: Path) -> None:
    music = tmp_path / "odd"
    music.mkdir()
    made = Corpus(music).made([file for file in ODD_FILES if file not in SPECIAL_FILES])
    archive = make_archive(tmp_path / "out", [row(file.name, music, "Arabesk") for file in made])
    settings = WriteSettings(replace=True)
    expected = by_path(list(write_tags(archive, settings, journal=None)))
    heard = {path: hear(path) for path, song in expected.items() if song.outcome == "written"}
    assert len(heard) > 100
    states = {path: State.of(path.stat()) for path in expected}
    with Journal(archive.folder) as journal:
        songs = by_path(list(write_tags(archive, settings, journal=journal)))
    written = {path for path, song in songs.items() if song.outcome == "written"}
    assert written <= heard.keys()
    for path, song in songs.items():
        if path in written:
            assert hear(path) == heard[path], path.name
        else:
            assert song.reason.isprintable(), song
            assert State.of(path.stat()) == states[path]
    assert by_path(list(write_tags(archive, WriteSettings(), journal=None)))[min(written)].outcome == "same"
    with Journal(archive.folder) as journal:
        undone = by_path(list(undo_tags(archive.folder, journal=journal)))
    assert {path for path, song in undone.items() if song.outcome == "written"} == written
    assert all(hear(path) == heard[path] for path in written)
    fields = {path: song.before for path, song in expected.items() if path in written}
    again = by_path(list(write_tags(archive, settings, journal=None)))
    assert {path: again[path].before for path in written} == fields, "every genre is as it was"
