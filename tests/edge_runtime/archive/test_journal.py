"""The journal tells which changes have taken place, whatever has interrupted them."""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.archive.journal import (
    JOURNAL,
    UNDO,
    WRITE,
    Change,
    Journal,
    JournalError,
    OwnChanges,
    State,
    applied,
    read_changes,
    to_restore,
)
from edge_runtime.errors import TmgcError

STATES = [State(1000 + number, 2_000_000_000 * number) for number in range(5)]
FIRST = Change(WRITE, "/music", "şarkı.mp3", STATES[0], STATES[1], field="GENRE", values={"text": ["Türkü"]})
SECOND = Change(WRITE, "/music", "şarkı.mp3", STATES[1], STATES[2], field="TMGC_GENRE")
UNDONE = Change(UNDO, "/music", "şarkı.mp3", STATES[2], STATES[3], field="TMGC_GENRE")


def untimed(changes: list[Change]) -> list[Change]:
    return [replace(change, time="") for change in changes]


def test_changes_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert list(read_changes(tmp_path)) == []
    with Journal(tmp_path) as journal:
        journal.append(FIRST)
    with Journal(tmp_path) as journal:
        journal.append(SECOND)
    assert untimed(list(read_changes(tmp_path))) == [FIRST, SECOND]
    assert all(change.time.endswith("+00:00") for change in read_changes(tmp_path))


def test_a_line_that_a_power_failure_has_cut_is_no_change(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append(FIRST)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"schema": 1, "action": "wri')
    assert untimed(list(read_changes(tmp_path))) == [FIRST]
    with Journal(tmp_path) as journal:
        journal.append(SECOND)
    assert untimed(list(read_changes(tmp_path))) == [FIRST, SECOND]


def test_a_damaged_line_is_told_and_others_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Journal(tmp_path) as journal:
        journal.append(FIRST)
        journal.append(SECOND)
    path = tmp_path / JOURNAL
    path.write_bytes(b"\xff\0\n[]\n" + path.read_bytes())
    with caplog.at_level(logging.WARNING, "tmgc"):
        assert untimed(list(read_changes(tmp_path))) == [FIRST, SECOND]
    assert [message.partition(" of ")[0] for message in caplog.messages] == ["line 1", "line 2"]


def test_of_a_line_that_cannot_be_written_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Journal(tmp_path) as journal:
        journal.append(FIRST)
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", broken)
            with pytest.raises(JournalError, match="Input/output error"):
                journal.append(SECOND)
        journal.append(UNDONE)
    assert untimed(list(read_changes(tmp_path))) == [FIRST, UNDONE]


def test_a_journal_of_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('{"schema": 2}\n')
    with pytest.raises(TmgcError, match="must be of schema 1: line 1 is not"):
        list(read_changes(tmp_path))


def test_the_state_of_a_song_tells_which_changes_have_taken_place() -> None:
    changes = [FIRST, SECOND, UNDONE]
    assert applied(changes, STATES[0]) == []
    assert applied(changes, STATES[1]) == [FIRST]
    assert applied(changes, STATES[3]) == changes
    assert applied(changes, State(5, 5)) is None
    again = replace(SECOND, after=STATES[4])  # after a kill between the journal and the change
    assert applied([FIRST, SECOND, again], STATES[4]) == [FIRST, again]


def test_what_is_restored_is_what_each_field_held_first() -> None:
    third = Change(WRITE, "/music", "şarkı.mp3", STATES[2], STATES[3], field="GENRE", values={"text": ["Pop"]})
    assert to_restore([FIRST, SECOND, third]) == {"GENRE": FIRST, "TMGC_GENRE": SECOND}
    assert to_restore([FIRST, SECOND, UNDONE]) == {"GENRE": FIRST}


def test_a_song_whose_tags_alone_have_changed_is_the_same(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for change in (FIRST, SECOND, UNDONE):
            journal.append(change)
    own = OwnChanges(tmp_path)
    for state in STATES[:4]:
        assert own.original("/music", "şarkı.mp3", state) == STATES[0]
    assert own.original("/music", "şarkı.mp3", STATES[4]) == STATES[4]
    assert own.original("/elsewhere", "şarkı.mp3", STATES[1]) == STATES[1]
