"""A history is opened wherever it lies and whatever was done to it, and other files are left alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.history.database import (
    close_after_writing,
    lacks_its_log,
    open_history,
    read_history,
    reading_failed,
    set_aside,
)
from edge_runtime.history.recorder import Recorder, SourceDescription
from edge_runtime.history.schema import Codes
from tests.conftest import mounted_tmpfs
from tests.edge_runtime.factories import GENRES
from tests.edge_runtime.history.recorded import change, evening, leaf_pages, overwrite, query, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a history?.sqlite"


@pytest.fixture
def recorded(path: Path) -> Path:
    write(path, evening(10))
    return path


def count(path: Path) -> int:
    return int(query(path, "SELECT count(*) FROM window_rows")[0][0])


def aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.sqlite.*-20*"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "torn in the first page": lambda path: os.truncate(path, 2000),
    "torn in the middle": lambda path: os.truncate(path, 3 * 4096 + 100),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "zeroed at the beginning": lambda path: overwrite(path, 1),
    "its header and then nothing": lambda path: path.write_bytes(path.read_bytes()[:100].ljust(40_000, b"\0")),
    "noise": lambda path: path.write_bytes(b"This is no database at all.\n" * 1000),
    "one byte": lambda path: path.write_bytes(b"x"),
    "its last page lost": lambda path: overwrite(path, leaf_pages(path, "window_rows")[-1]),
    "its tables are views": lambda path: change(
        path,
        "DROP VIEW windows; DROP TABLE window_rows; CREATE VIEW window_rows AS WITH RECURSIVE n(id) AS "
        "(SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id, 1 AS answer, 1 AS measured FROM n",
    ),
    "a trigger": lambda path: change(
        path, "CREATE TRIGGER evil AFTER INSERT ON window_rows BEGIN DELETE FROM window_rows; END"
    ),
    "an index over its rows": lambda path: change(path, "CREATE INDEX i ON window_rows (abs(answer))"),
    "a column of another type": lambda path: change(path, "ALTER TABLE event_rows ADD COLUMN more ANY"),
    "an earlier schema": lambda path: change(path, "PRAGMA user_version = 1"),
    "a later schema": lambda path: change(path, "PRAGMA user_version = 99"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_history_that_cannot_be_continued_is_set_aside_and_a_new_one_begun(
    damage: Callable[[Path], object], recorded: Path, notices: list[str]
) -> None:
    damage(recorded)
    content = recorded.read_bytes()
    write(recorded, evening(1))
    assert count(recorded) == 60
    (kept,) = aside(recorded)
    assert kept.read_bytes() == content
    (notice,) = notices
    assert notice.startswith(f"warning: the history {recorded} is ")
    assert f"it is set aside as {kept.name}, and a new one is begun" in notice
    assert ("--repair" in notice) == ("schema" not in kept.name)


def test_a_damaged_page_in_the_middle_is_left_until_something_needs_it(recorded: Path, notices: list[str]) -> None:
    overwrite(recorded, leaf_pages(recorded, "window_rows")[1])
    write(recorded, evening(1))
    assert not notices
    with closing(read_history(recorded)) as connection, pytest.raises(sqlite3.DatabaseError) as caught:
        connection.execute("SELECT sum(answer) FROM window_rows").fetchall()
    message = str(reading_failed(recorded, caught.value))
    assert message.startswith(f"a history must be intact: {recorded} is damaged")
    assert message.endswith(f"tmgc-listen history '{recorded}' --repair saves what is whole")


@pytest.mark.parametrize("name", ["heard", "heard.db", "heard.SQLITE3"])
def test_noise_under_the_name_of_a_database_is_set_aside(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"noise" * 1000)
    write(tmp_path / name, evening(1))
    assert count(tmp_path / name) == 60
    assert len(list(tmp_path.glob(f"{name}.damaged-*"))) == 1


def test_two_files_that_are_set_aside_in_one_second_are_both_kept(path: Path) -> None:
    for text in (b"one", b"other"):
        path.write_bytes(text)
        set_aside(path, "damaged")
    assert sorted(file.read_bytes() for file in aside(path)) == [b"one", b"other"]


def test_the_write_ahead_log_goes_with_the_file_that_is_set_aside(recorded: Path) -> None:
    log = recorded.with_name(recorded.name + "-wal")
    log.write_bytes(b"frames")
    kept = set_aside(recorded, "damaged")
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"frames"
    assert not log.exists()


def test_the_file_behind_a_link_is_set_aside_and_the_link_kept(recorded: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(recorded)
    overwrite(recorded, 1)
    open_history(link).close()
    assert link.is_symlink()
    assert len(aside(recorded)) == 1


def damage_another_program_s(path: Path) -> None:
    change(path, "PRAGMA application_id = 7; CREATE TABLE recipes (name)")
    overwrite(path, 2, b"x" * 4096)
    os.truncate(path, 4096 + 7)


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another program's": (lambda path: change(path, "CREATE TABLE recipes (name)"), "belongs to another program"),
    "another program's, damaged": (damage_another_program_s, "belongs to another program"),
    "another program's, empty": (lambda path: change(path, "PRAGMA application_id = 7"), "belongs to another program"),
    "a song": (lambda path: path.write_bytes(b"RIFF" + bytes(5000)), "it is another kind of file"),
    "a folder": (lambda path: path.mkdir(), "it is no file"),
    "a pipe": (os.mkfifo, "it is no file"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_history_is_refused_in_one_line_and_left_alone(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.wav"
    make(path)
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(TmgcError, match=message) as refused:
        open_history(path)
    assert "\n" not in str(refused.value)
    assert (path.read_bytes() if path.is_file() else None) == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", [Path("/nowhere/at/all.sqlite"), Path("/proc/h.sqlite")], ids=["folder", "place"])
def test_a_place_that_cannot_be_written_is_refused_in_one_line(path: Path) -> None:
    with pytest.raises(TmgcError, match="must be a SQLite file that can be written"):
        open_history(path)


def test_a_file_without_tables_yet_is_begun(path: Path) -> None:
    change(path, "PRAGMA journal_mode = WAL")  # as an interrupted start leaves it
    write(path, evening(1))
    assert count(path) == 60


def test_own_views_and_tables_of_a_user_do_no_harm(recorded: Path, notices: list[str]) -> None:
    change(recorded, "CREATE VIEW daily AS SELECT count(*) FROM windows; CREATE TABLE notes (note TEXT)")
    write(recorded, evening(1))
    assert (count(recorded), notices) == (660, [])


def test_a_history_that_was_closed_is_one_file_and_reading_leaves_no_other(recorded: Path) -> None:
    assert count(recorded) == 600
    assert list(recorded.parent.iterdir()) == [recorded]
    assert not lacks_its_log(recorded)


@pytest.fixture
def open_recorder(path: Path) -> Iterator[Recorder]:
    """Of a history that another process is writing."""
    connection = open_history(path)
    description = SourceDescription(model="m", names=Codes(GENRES).names, hop_seconds=1.0, boot_id="boot")
    yield Recorder(connection, description)
    close_after_writing(connection)


def test_a_copy_without_its_log_is_read_and_known_to_lack_its_end(
    path: Path, open_recorder: Recorder, tmp_path: Path
) -> None:
    open_recorder.write(evening(5))
    open_recorder.shrink_log()
    open_recorder.write(evening(2))
    copy = tmp_path / "copy.sqlite"
    shutil.copyfile(path, copy)
    assert (count(path), lacks_its_log(path)) == (420, False)
    assert (count(copy), lacks_its_log(copy)) == (300, True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that becomes a read-only file system by the file ``mounted``."""
    with mounted_tmpfs(tmp_path / "card", "4m") as folder:
        yield folder


@pytest.mark.parametrize("log", ["no log", "a log"])
def test_a_history_on_a_read_only_file_system_is_read_with_its_log(
    log: str, read_only: Path, path: Path, open_recorder: Recorder
) -> None:
    open_recorder.write(evening(5))
    open_recorder.shrink_log()
    open_recorder.write(evening(2))
    for file in path.parent.glob(f"{path.name}*"):
        if not file.name.endswith("-shm") and (log == "a log" or not file.name.endswith("-wal")):
            shutil.copyfile(file, read_only / file.name)
    subprocess.run(["mount", "-o", "remount,ro", read_only], check=True)
    assert count(read_only / path.name) == (420 if log == "a log" else 300)
    with pytest.raises(TmgcError, match="must be a SQLite file that can be written"):
        open_history(read_only / path.name)


def test_a_history_in_a_folder_without_write_permission_is_read(path: Path, open_recorder: Recorder) -> None:
    open_recorder.write(evening(1))
    path.parent.chmod(0o555)
    try:
        assert count(path) == 60
    finally:
        path.parent.chmod(0o755)


@pytest.mark.parametrize("table", ["window_rows", "segments", "event_rows"])
def test_a_row_that_leaves_no_number_for_others_is_damage(table: str, recorded: Path) -> None:
    values = {"window_rows": "NULL, 0", "segments": "1, 0, 0, 1, 0, 1", "event_rows": "1, 0, 0, 1, 'a', 'b'"}[table]
    change(recorded, f"INSERT INTO {table} VALUES (9223372036854775807, {values})")
    write(recorded, evening(1))
    assert count(recorded) == 60
    assert len(aside(recorded)) == 1


def test_an_empty_file_is_said_to_be_empty(path: Path) -> None:
    path.touch()
    with pytest.raises(TmgcError, match=r"is empty.*--repair"):
        read_history(path)


def test_the_log_beside_an_empty_file_is_kept(recorded: Path, tmp_path: Path) -> None:
    log = recorded.with_name(recorded.name + "-wal")
    os.truncate(recorded, 0)
    log.write_bytes(b"rows" * 2000)
    with pytest.raises(TmgcError, match="is empty"):
        read_history(recorded)
    open_history(recorded).close()
    assert [file.read_bytes() for file in aside(recorded)] == [b"", b"rows" * 2000]


def test_changed_tables_are_to_be_repaired(recorded: Path) -> None:
    change(recorded, "CREATE INDEX answers ON window_rows (answer)")
    with pytest.raises(TmgcError, match=r"tables were changed.*--repair saves"):
        read_history(recorded)
