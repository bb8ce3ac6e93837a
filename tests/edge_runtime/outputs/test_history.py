"""The history keeps what was heard, whatever happens to the process."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime import Event, Prediction, TmgcError
from edge_runtime.outputs import sqlite as history
from edge_runtime.outputs.sqlite import BATCH_SECONDS, History, open_history, read_history
from tests.conftest import until

GENRES = ("Halk", "Caz", "Rock")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "what was heard?.sqlite"


@pytest.fixture
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BATCH_SECONDS", 0.05)


def opened(path: Path, **options: Any) -> History:
    return History(path, model="tiny.tflite", genres=GENRES, hop_seconds=1.0, **options)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(read_history(path)) as connection:
        return connection.execute(query).fetchall()


def test_every_window_and_event_is_kept_with_its_times(path: Path, make_answer: Callable[..., Prediction]) -> None:
    before = time.monotonic()
    kept = opened(path)
    kept.window(make_answer("Halk", time=datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)))
    kept.window(make_answer("silence", start=1.0))
    kept.event(Event(datetime(2026, 11, 23, 12, 0, 2, tzinfo=UTC), "microphone", "device lost", "it is gone"))
    kept.close()
    (first, second) = rows(path, "SELECT windows.*, name, genres, hop_s FROM windows JOIN sources ON source = id")
    assert first[0] == datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC).timestamp()
    assert before <= first[1] <= time.monotonic()
    assert first[2] in (0, 1, None)
    assert first[5:9] == ("Halk", 0.8, "Halk", 0.8)
    assert json.loads(first[9]) == [0.8, 0.1, 0.1]
    assert (first[-3], json.loads(first[-2]), first[-1]) == ("microphone", list(GENRES), 1.0)
    assert (second[5], json.loads(second[9])) == ("silence", [])
    assert rows(path, "SELECT event, reason FROM events") == [("device lost", "it is gone")]


def test_no_column_could_hold_a_sound(path: Path) -> None:
    opened(path).close()
    columns = rows(path, "SELECT name, type FROM pragma_table_info('windows') UNION SELECT name, type FROM "
                         "pragma_table_info('events')")  # fmt: skip
    assert columns
    assert {kind for _, kind in columns} <= {"REAL", "INTEGER", "TEXT"}


def test_the_file_goes_on_where_it_was_reopened(path: Path, make_answer: Callable[..., Prediction]) -> None:
    for number in range(3):
        kept = opened(path)
        kept.window(make_answer(start=float(number)))
        kept.close()
    assert not path.with_name(path.name + "-wal").exists()
    assert [start for (start,) in rows(path, "SELECT start_s FROM windows ORDER BY rowid")] == [0.0, 1.0, 2.0]


def test_a_power_cut_costs_less_than_ten_seconds(path: Path) -> None:
    assert BATCH_SECONDS < 10
    with closing(open_history(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: a commit has reached the card


def test_it_is_read_while_it_is_written(
    path: Path, make_answer: Callable[..., Prediction], quick_batches: None
) -> None:
    kept = opened(path)
    counts = []
    for number in range(5):
        kept.window(make_answer(start=float(number)))
        until(lambda expected=number + 1: rows(path, "SELECT count(*) FROM windows") == [(expected,)])  # type: ignore[misc]
        counts.append(number)
    kept.close()
    assert counts == [0, 1, 2, 3, 4]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from edge_runtime import Event
from edge_runtime.outputs import sqlite as history
history.BATCH_SECONDS = 0.02
kept = history.History(Path(sys.argv[1]), model="m", genres=("Halk", "Caz"), hop_seconds=1.0)
number = 0
while True:
    kept.event(Event(datetime.now(UTC), "writer", "overload", str(number)))
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
    kept = opened(path)  # it is written on as if nothing had happened
    kept.close()
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
def test_what_is_older_than_the_days_to_keep_is_taken_away(
    path: Path, make_answer: Callable[..., Prediction], monkeypatch: pytest.MonkeyPatch, synchronised: bool | None
) -> None:
    monkeypatch.setattr(history, "clock_synchronised", lambda: synchronised)
    now = datetime.now(UTC)
    kept = opened(path, keep_days=100)
    for number in range(3000):
        kept.window(make_answer(time=now - timedelta(days=50), start=float(number)))
    kept.window(make_answer("Caz", time=now))
    kept.event(Event(now - timedelta(days=50), "microphone", "device lost", "long ago"))
    kept.close()
    full = path.stat().st_size
    opened(path, keep_days=49).close()
    assert rows(path, "SELECT genre FROM windows") == [("Caz",)]
    assert rows(path, "SELECT count(*) FROM events") == [(0,)]
    assert path.stat().st_size < full / 3


def test_nothing_is_taken_away_by_a_clock_that_is_wrong(
    path: Path, make_answer: Callable[..., Prediction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "clock_synchronised", lambda: False)
    kept = opened(path)
    kept.window(make_answer(time=datetime(1999, 1, 1, tzinfo=UTC)))
    kept.close()
    opened(path, keep_days=1).close()
    assert rows(path, "SELECT clock_synchronised FROM windows") == [(0,)]


def test_a_file_that_cannot_be_written_for_a_while_is_told_of_once_and_loses_nothing(
    path: Path, make_answer: Callable[..., Prediction], quick_batches: None, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = opened(path)
    with closing(sqlite3.connect(path, timeout=0)) as other:
        until(kept._thread.is_alive)
        other.execute("PRAGMA user_version = 7")
        for number in range(5):
            kept.window(make_answer(start=float(number)))
            time.sleep(0.1)
        other.execute("PRAGMA user_version = 1")
    kept.close()
    assert rows(path, "SELECT count(*) FROM windows") == [(5,)]
    assert "lacks" not in capsys.readouterr().err


def test_what_a_full_disk_leaves_unwritten_is_told(
    path: Path,
    make_answer: Callable[..., Prediction],
    quick_batches: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def with_no_room(where: Path) -> sqlite3.Connection:
        connection = open_history(where)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(history, "MOST_WAITING", 1500)
    kept = opened(path)
    monkeypatch.setattr(history, "open_history", with_no_room)
    for number in range(2000):
        kept.window(make_answer(start=float(number)))
    until(lambda: kept._failing)
    kept.close()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "the history waits, since it cannot be written: database or disk is full" in said[0]
    assert said[1].endswith("lacks 2000 rows that could not be written")


def test_names_that_are_no_utf_8_are_kept(path: Path, make_answer: Callable[..., Prediction]) -> None:
    kept = opened(path)
    kept.window(make_answer(source="caf\udce9.ogg"))
    kept.close()
    assert rows(path, "SELECT name FROM sources") == [("caf?.ogg",)]


def test_a_file_that_is_taken_away_is_begun_anew(
    path: Path, make_answer: Callable[..., Prediction], quick_batches: None
) -> None:
    kept = opened(path)
    kept.window(make_answer(start=0.0))
    until(lambda: rows(path, "SELECT count(*) FROM windows") == [(1,)])
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    kept.window(make_answer(start=1.0))
    kept.close()
    assert rows(path, "SELECT start_s, name FROM windows JOIN sources ON source = id") == [(1.0, "microphone")]


@pytest.fixture(params=["text", "another program's", "another schema", "no folder", "a folder", "a read-only place"])
def unfit(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    path, said = tmp_path / "unfit.sqlite", "is a SQLite file that can be written"
    if request.param == "text":
        path.write_text("This is no database at all.\n" * 100)
    elif request.param == "another program's":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        said = "is another program's"
    elif request.param == "another schema":
        open_history(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 2")
        said = "a history of schema 1 is needed"
    elif request.param == "no folder":
        path = tmp_path / "none" / "h.sqlite"
    elif request.param == "a folder":
        path.mkdir()
    else:
        path = Path("/proc/unfit.sqlite")  # not even root writes there
    return path, said


def test_an_unfit_file_is_refused_in_one_line_and_left_alone(unfit: tuple[Path, str]) -> None:
    path, said = unfit
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(TmgcError, match=said):
        opened(path)
    assert (path.read_bytes() if path.is_file() else None) == content


def test_a_damaged_file_is_refused_in_one_line(
    path: Path, make_answer: Callable[..., Prediction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "clock_synchronised", lambda: True)
    kept = opened(path)
    for number in range(500):
        kept.window(make_answer(start=float(number), time=datetime.now(UTC) - timedelta(days=2)))
    kept.close()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(TmgcError, match="cannot be pruned"):
        opened(path, keep_days=1)


def test_the_command_keeps_a_history(models: dict[str, Path], path: Path, tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 6 * 22_050)
    soundfile.write(tmp_path / "song.wav", sound, 22_050)
    listening = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()"]
    command = [
        *listening,
        tmp_path / "song.wav",
        "--model",
        models["tflite"],
        "--history",
        path,
        "--changes",
        "--hop",
        "2",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(path, "SELECT count(*) FROM windows") == [(3,)]  # all of them, whatever is shown
    assert rows(path, "SELECT name FROM sources") == [(str(tmp_path / "song.wav"),)]
    refused = subprocess.run(
        [*map(str, command), "--history", str(tmp_path / "song.wav")], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "is a SQLite file that can be written" in refused.stderr.splitlines()[-1]
