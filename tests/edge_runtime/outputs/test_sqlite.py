"""The history keeps every prediction, whatever happens to the process or the file."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import Event, TmgcError
from edge_runtime.outputs import sqlite
from edge_runtime.outputs.sqlite import BATCH_SECONDS, History, open_history, read_history
from tests.conftest import until
from tests.edge_runtime.factories import GENRES, listen_command, make_prediction
from tests.edge_runtime.outputs.conftest import write_noise


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a history?.sqlite"


@pytest.fixture
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BATCH_SECONDS", 0.05)


def open_tiny(path: Path, **options: Any) -> History:
    return History(path, model="tiny.tflite", genres=GENRES, hop_seconds=1.0, **options)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(read_history(path)) as connection:
        return connection.execute(query).fetchall()


def test_every_window_and_event_is_stored_with_its_times(path: Path) -> None:
    before = time.monotonic()
    history = open_tiny(path)
    history.window(make_prediction("Halk", time=datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)))
    history.window(make_prediction("silence", start=1.0))
    history.event(Event(datetime(2026, 11, 23, 12, 0, 2, tzinfo=UTC), "microphone", "device lost", "it is gone"))
    history.close()
    (first, second) = rows(path, "SELECT windows.*, name, genres, hop_s FROM windows JOIN sources ON source = id")
    assert first[0] == datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC).timestamp()
    assert before <= first[1] <= time.monotonic()
    assert first[2] in (0, 1, None)
    assert first[5:9] == ("Halk", 0.8, "Halk", 0.8)
    assert json.loads(first[9]) == [0.8, 0.1, 0.1]
    assert (first[-3], json.loads(first[-2]), first[-1]) == ("microphone", list(GENRES), 1.0)
    assert (second[5], json.loads(second[9])) == ("silence", [])
    assert rows(path, "SELECT event, reason FROM events") == [("device lost", "it is gone")]


def test_no_column_could_hold_audio(path: Path) -> None:
    open_tiny(path).close()
    columns = rows(path, "SELECT name, type FROM pragma_table_info('windows') UNION SELECT name, type FROM "
                         "pragma_table_info('events')")  # fmt: skip
    assert columns
    assert {kind for _, kind in columns} <= {"REAL", "INTEGER", "TEXT"}


def test_a_reopened_file_is_continued(path: Path) -> None:
    for number in range(3):
        history = open_tiny(path)
        history.window(make_prediction(start=float(number)))
        history.close()
    assert not path.with_name(path.name + "-wal").exists()
    assert [start for (start,) in rows(path, "SELECT start_s FROM windows ORDER BY rowid")] == [0.0, 1.0, 2.0]


def test_a_power_cut_costs_less_than_ten_seconds(path: Path) -> None:
    assert BATCH_SECONDS < 10
    with closing(open_history(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: a commit has reached the card


def test_it_can_be_read_while_it_is_written(path: Path, quick_batches: None) -> None:
    history = open_tiny(path)
    counts = []
    for number in range(5):
        history.window(make_prediction(start=float(number)))
        until(lambda expected=number + 1: rows(path, "SELECT count(*) FROM windows") == [(expected,)])  # type: ignore[misc]
        counts.append(number)
    history.close()
    assert counts == [0, 1, 2, 3, 4]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from edge_runtime import Event
from edge_runtime.outputs import sqlite
sqlite.BATCH_SECONDS = 0.02
history = sqlite.History(Path(sys.argv[1]), model="m", genres=("Halk", "Caz"), hop_seconds=1.0)
number = 0
while True:
    history.event(Event(datetime.now(UTC), "writer", "overload", str(number)))
    number += 1
    if number % 200 == 0:
        import time; time.sleep(0.005)
"""


@pytest.mark.parametrize("after", [0.0, 0.05, 0.13])
def test_kill_9_in_the_middle_of_writing_corrupts_nothing(path: Path, after: float) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    try:
        until(lambda: path.exists() and bool(_count(path)))
        time.sleep(after)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    history = open_tiny(path)  # and continued as if nothing had happened
    history.close()
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    numbers = [int(reason) for (reason,) in rows(path, "SELECT reason FROM events ORDER BY rowid")]
    assert numbers == list(range(len(numbers)))
    assert numbers


def _count(path: Path) -> int:
    try:
        return int(rows(path, "SELECT count(*) FROM events")[0][0])
    except TmgcError:  # its tables are just being made
        return 0


@pytest.mark.parametrize("synchronised", [True, None])
def test_rows_older_than_the_days_to_keep_are_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch, synchronised: bool | None
) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: synchronised)
    now = datetime.now(UTC)
    history = open_tiny(path, keep_days=100)
    for number in range(3000):
        history.window(make_prediction(time=now - timedelta(days=50), start=float(number)))
    history.window(make_prediction("Caz", time=now))
    history.event(Event(now - timedelta(days=50), "microphone", "device lost", "long ago"))
    history.close()
    full = path.stat().st_size
    open_tiny(path, keep_days=49).close()
    assert rows(path, "SELECT genre FROM windows") == [("Caz",)]
    assert rows(path, "SELECT count(*) FROM events") == [(0,)]
    assert path.stat().st_size < full / 3


def test_nothing_is_deleted_while_the_clock_is_wrong(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: False)
    history = open_tiny(path)
    history.window(make_prediction(time=datetime(1999, 1, 1, tzinfo=UTC)))
    history.close()
    open_tiny(path, keep_days=1).close()
    assert rows(path, "SELECT clock_synchronised FROM windows") == [(0,)]


def test_a_file_that_cannot_be_written_for_a_while_loses_nothing_and_is_warned_of_once(
    path: Path, quick_batches: None, notices: list[str]
) -> None:
    history = open_tiny(path)
    with closing(sqlite3.connect(path, timeout=0)) as other:
        until(history._thread.is_alive)
        other.execute("PRAGMA user_version = 7")
        for number in range(5):
            history.window(make_prediction(start=float(number)))
            time.sleep(0.1)
        other.execute("PRAGMA user_version = 1")
    history.close()
    assert rows(path, "SELECT count(*) FROM windows") == [(5,)]
    assert len(notices) <= 1  # none where it was already open
    assert not [notice for notice in notices if "lacks" in notice]


def test_rows_that_a_full_disk_leaves_unwritten_are_counted_in_a_warning(
    path: Path,
    quick_batches: None,
    monkeypatch: pytest.MonkeyPatch,
    notices: list[str],
) -> None:
    def with_no_room(where: Path) -> sqlite3.Connection:
        connection = open_history(where)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(sqlite, "MAX_QUEUED_ROWS", 1500)
    history = open_tiny(path)
    monkeypatch.setattr(sqlite, "open_history", with_no_room)
    for number in range(2000):
        history.window(make_prediction(start=float(number)))
    until(lambda: history._failing)
    history.close()
    assert len(notices) == 2
    assert notices[0].startswith("warning: the history cannot be written: database or disk is full")
    assert notices[1] == f"warning: {path} lacks 2000 rows that could not be written"


def test_names_that_are_not_utf_8_are_stored(path: Path) -> None:
    history = open_tiny(path)
    history.window(make_prediction(source="caf\udce9.ogg"))
    history.close()
    assert rows(path, "SELECT name FROM sources") == [("caf?.ogg",)]


def test_a_deleted_file_is_created_again(path: Path, quick_batches: None) -> None:
    history = open_tiny(path)
    history.window(make_prediction(start=0.0))
    until(lambda: rows(path, "SELECT count(*) FROM windows") == [(1,)])
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    history.window(make_prediction(start=1.0))
    history.close()
    assert rows(path, "SELECT start_s, name FROM windows JOIN sources ON source = id") == [(1.0, "microphone")]


@pytest.fixture(params=["text", "another program's", "another schema", "no folder", "a folder", "a read-only place"])
def unfit(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    path, message = tmp_path / "unfit.sqlite", "must be a SQLite file that can be written"
    if request.param == "text":
        path.write_text("This is no database at all.\n" * 100)
    elif request.param == "another program's":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        message = "belongs to another program"
    elif request.param == "another schema":
        open_history(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 2")
        message = "a history must have schema 1"
    elif request.param == "no folder":
        path = tmp_path / "none" / "h.sqlite"
    elif request.param == "a folder":
        path.mkdir()
    else:
        path = Path("/proc/unfit.sqlite")  # not even root writes there
    return path, message


def test_an_unfit_file_is_refused_in_one_line_and_left_alone(unfit: tuple[Path, str]) -> None:
    path, message = unfit
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(TmgcError, match=message):
        open_tiny(path)
    assert (path.read_bytes() if path.is_file() else None) == content


def test_a_damaged_file_is_refused_in_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: True)
    history = open_tiny(path)
    for number in range(500):
        history.window(make_prediction(start=float(number), time=datetime.now(UTC) - timedelta(days=2)))
    history.close()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(TmgcError, match="cannot be pruned"):
        open_tiny(path, keep_days=1)


def test_the_command_records_a_history(models: dict[str, Path], path: Path, tmp_path: Path) -> None:
    song = write_noise(tmp_path / "song.wav", seconds=6)
    arguments = [song, "--model", models["tflite"], "--changes", "--hop", 2, "--history"]
    done = listen_command(*arguments, path)
    assert done.exit_code == 0, done.stderr
    assert rows(path, "SELECT count(*) FROM windows") == [(3,)]  # all of them, whatever is printed
    assert rows(path, "SELECT name FROM sources") == [(str(song),)]
    refused = listen_command(*arguments, song)
    assert refused.exit_code == 2
    assert "must be a SQLite file that can be written" in refused.stderr.splitlines()[-1]
