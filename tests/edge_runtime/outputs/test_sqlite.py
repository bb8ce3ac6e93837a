"""The history keeps every prediction, whatever happens to the process or the clock."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import Event, TmgcError
from edge_runtime.history.database import open_history
from edge_runtime.outputs import sqlite
from edge_runtime.outputs.sqlite import BATCH_SECONDS, History
from tests.conftest import until
from tests.edge_runtime.factories import GENRES, listen_command, make_prediction
from tests.edge_runtime.history.recorded import change, evening, query, write
from tests.edge_runtime.outputs.conftest import write_noise


def open_tiny(path: Path, **options: Any) -> History:
    return History(path, model="tiny.tflite", genres=GENRES, hop_seconds=1.0, **options)


def starts(path: Path) -> list[float]:
    return [start for (start,) in query(path, "SELECT start_s FROM windows ORDER BY id")]


def test_every_window_and_event_is_stored_with_its_time(path: Path) -> None:
    noon = datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)
    history = open_tiny(path)
    history.window(make_prediction("Halk", time=noon))
    history.window(make_prediction("silence", time=noon + timedelta(seconds=1), start=1.0))
    history.event(Event(noon + timedelta(seconds=2), "microphone", "device lost", "it is gone"))
    history.close()
    (first, second) = query(path, "SELECT time, source, start_s, genre, confidence, smoothed_genre FROM windows")
    assert first == (noon.timestamp(), "microphone", 0.0, "Halk", 0.8, "Halk")
    assert second == (noon.timestamp() + 1, "microphone", 1.0, "silence", 0.0, "silence")
    assert query(path, "SELECT time, event, reason FROM events") == [
        (noon.timestamp() + 2, "device lost", "it is gone")
    ]
    assert query(path, "SELECT name, model, hop_s FROM sources") == [("microphone", "tiny.tflite", 1.0)]


def test_no_column_could_hold_audio(path: Path) -> None:
    open_tiny(path).close()
    tables = query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    kinds = {kind for (table,) in tables for (kind,) in query(path, f"SELECT type FROM pragma_table_info('{table}')")}
    assert kinds == {"REAL", "INTEGER", "TEXT"}


def test_a_reopened_file_is_continued(path: Path) -> None:
    for number in range(3):
        history = open_tiny(path)
        history.window(make_prediction(start=float(number)))
        history.close()
    assert list(path.parent.iterdir()) == [path]
    assert starts(path) == [0.0, 1.0, 2.0]


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
        until(lambda expected=number + 1: len(starts(path)) == expected)  # type: ignore[misc]
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
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    numbers = [int(reason) for (reason,) in query(path, "SELECT reason FROM events ORDER BY id")]
    assert numbers == list(range(len(numbers)))
    assert numbers


def _count(path: Path) -> int:
    try:
        return int(query(path, "SELECT count(*) FROM event_rows")[0][0])
    except TmgcError:  # its tables are just being made
        return 0


@pytest.mark.parametrize("synchronised", [True, None])
def test_rows_older_than_the_days_to_keep_are_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch, synchronised: bool | None
) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: synchronised)
    now = datetime.now(UTC)
    history = open_tiny(path, keep_days=100)
    for number in range(9000):
        history.window(make_prediction(time=now - timedelta(days=50), start=float(number)))
    history.window(make_prediction("Caz", time=now))
    history.event(Event(now - timedelta(days=50), "microphone", "device lost", "long ago"))
    history.close()
    full = path.stat().st_size
    open_tiny(path, keep_days=49).close()
    assert query(path, "SELECT genre FROM windows") == [("Caz",)]
    assert query(path, "SELECT count(*) FROM events") == [(0,)]
    assert path.stat().st_size < full / 3


@pytest.mark.parametrize("synchronised", [True, False])
def test_what_is_kept_is_said_at_the_start(
    synchronised: bool, path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: synchronised)
    open_tiny(path, keep_days=30, keep_mb=200).close()
    without_clock = "" if synchronised else "; until the clock is synchronised, days are those of recording"
    assert notices == [f"the history {path} has 0.0 MB; it keeps at most 30 days and 200 MB{without_clock}"]


def test_size_is_limited_while_it_runs_also_without_a_clock(
    path: Path, monkeypatch: pytest.MonkeyPatch, quick_batches: None
) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: False)
    write(path, evening(1000, at=datetime(1999, 1, 1, tzinfo=UTC), clock=0))
    assert path.stat().st_size > 1.2e6
    history = open_tiny(path, keep_mb=1)
    history.window(make_prediction("Caz"))
    until(lambda: path.stat().st_size <= 1e6)
    history.close()
    assert query(path, "SELECT genre FROM windows ORDER BY id DESC LIMIT 1") == [("Caz",)]


def test_times_from_before_the_clock_was_right_are_put_right(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = [False]
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: right[0])
    wrong = datetime(2024, 1, 1, tzinfo=UTC)
    begun = time.time()
    history = open_tiny(path)
    for number in range(30):
        history.window(make_prediction(time=wrong + timedelta(milliseconds=number), start=float(number)))
    right[0] = True
    history.window(make_prediction("Caz", start=31.0))
    history.close()
    found = query(path, "SELECT time, clock_synchronised FROM windows ORDER BY id")
    assert all(begun - 1 <= at <= time.time() + 1 for at, _ in found)
    assert [flag for _, flag in found] == [2] * 30 + [1]


FAKED = """
import sys
from pathlib import Path
from edge_runtime.outputs import sqlite
from tests.edge_runtime.factories import make_prediction
sqlite.clock_synchronised = lambda: sys.argv[2] == "right"
history = sqlite.History(Path(sys.argv[1]), model="m", genres=("Halk", "Caz", "Rock"), hop_seconds=1.0)
history.window(make_prediction())
history.close()
"""


def test_times_under_a_wrong_clock_are_put_right_by_a_later_process(path: Path) -> None:
    if not shutil.which("faketime"):
        pytest.skip("faketime is not installed")
    command = [sys.executable, "-c", FAKED, str(path)]
    subprocess.run(["faketime", "--exclude-monotonic", "-f", "-800d", *command, "wrong"], check=True)
    ((wrong,),) = query(path, "SELECT time FROM windows")
    assert wrong < time.time() - 700 * 86_400
    subprocess.run([*command, "right"], check=True)
    found = [at for (at,) in query(path, "SELECT time FROM windows ORDER BY id")]
    assert time.time() - 60 < found[0] < found[1] <= time.time()


def test_names_that_are_not_utf_8_are_stored(path: Path) -> None:
    history = open_tiny(path)
    history.window(make_prediction(source="caf\udce9.ogg"))
    history.close()
    assert query(path, "SELECT name FROM sources") == [("caf?.ogg",)]


def test_the_command_records_a_history(models: dict[str, Path], path: Path, tmp_path: Path) -> None:
    song = write_noise(tmp_path / "song.wav", seconds=6)
    arguments = [song, "--model", models["tflite"], "--changes", "--hop", 2, "--keep-mb", 100, "--history"]
    done = listen_command(*arguments, path)
    assert done.exit_code == 0, done.stderr
    assert len(starts(path)) == 3  # all of them, whatever is printed
    assert query(path, "SELECT name FROM sources") == [(str(song),)]
    refused = listen_command(*arguments, song)
    assert refused.exit_code == 2
    assert "must be a SQLite file that can be written" in refused.stderr.splitlines()[-1]
    change(path, "PRAGMA application_id = 1")
    assert "belongs to another program" in listen_command(*arguments, path).stderr
