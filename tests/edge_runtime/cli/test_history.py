"""``tmgc-listen history`` prints how long each genre was played in each hour."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from edge_runtime.errors import pip_install
from edge_runtime.history.database import open_history
from tests.edge_runtime.factories import listen_command
from tests.edge_runtime.history.recorded import change, overwrite, window_row, write

EVENING = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def istanbul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of the system."""
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "Europe/Istanbul")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Forty minutes from 20:30 in Istanbul: Halk, and every fourth window Caz."""
    path = tmp_path / "recorded.sqlite"
    rows = [
        window_row("Halk" if minute % 4 else "Caz", at=EVENING + timedelta(minutes=minute), start=60.0 * minute)
        for minute in range(40)
    ]
    write(path, rows, hop_seconds=60.0)
    return path


def history(*arguments: object, charset: str = "utf-8") -> Result:
    return listen_command("history", *arguments, charset=charset)


def test_a_locale_that_lacks_letters_of_a_genre_gets_similar_ones_and_json_is_utf_8(recorded: Path) -> None:
    change(recorded, "UPDATE sources SET genres = replace(genres, 'Halk', 'ışık')")
    assert "  20:00  isik 22:00  Caz 8:00\n" in history(recorded, charset="latin-1").stdout
    assert "isik" in history(recorded, "--csv", charset="latin-1").stdout
    document = history(recorded, "--json", charset="latin-1").stdout_bytes.decode("utf-8")
    assert {hour["genre"] for hour in json.loads(document)["hours"]} == {"ışık", "Caz"}


def test_a_person_reads_days_and_hours_of_local_time(recorded: Path) -> None:
    done = history(recorded)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [
        "local time, UTC+03:00",
        "Monday, 2026-11-23",
        "  20:00  Halk 22:00  Caz 8:00",
        "  21:00  Halk 8:00  Caz 2:00",
    ]


def test_a_day_may_end_in_another_zone(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert [line.split()[0] for line in history(recorded).stdout.splitlines()[1:]] == [
        "Tuesday,",
        "02:00",
        "03:00",
    ]


def test_csv_and_json_hold_the_same(recorded: Path) -> None:
    table = list(csv.DictReader(io.StringIO(history(recorded, "--csv").stdout)))
    document = json.loads(history(recorded, "--json").stdout)
    assert table[0] == {
        "hour": "2026-11-23T20:00+03:00", "genre": "Halk", "seconds": "1320.0", "windows": "22", "confidence": "0.8"
    }  # fmt: skip
    assert document["schema"] == 1
    assert [{name: str(value) for name, value in hour.items()} for hour in document["hours"]] == table


def test_since_and_until_are_local_times(recorded: Path) -> None:
    done = history(recorded, "--since", "2026-11-23T21:00", "--until", "2026-11-23T21:05", "--json")
    assert sum(hour["windows"] for hour in json.loads(done.stdout)["hours"]) == 5


def test_a_time_without_windows_is_no_error(recorded: Path) -> None:
    done = history(recorded, "--since", "2027-01-01")
    assert (done.exit_code, done.stdout) == (0, "no windows in that time\n")


def test_a_chart_is_written(recorded: Path, tmp_path: Path) -> None:
    done = history(recorded, "--png", tmp_path / "evening.png")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "evening.png").read_bytes().startswith(b"\x89PNG")
    assert "evening.png: minutes of each genre by hour\n" in done.stderr
    assert done.stdout == ""


def test_without_matplotlib_a_line_names_what_to_install(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = history(recorded, "--png", tmp_path / "evening.png")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: --png needs matplotlib, which is not installed: {pip_install('matplotlib')}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.sqlite"], "there is no file none.sqlite"),
        (["TEXT"], "must be a SQLite file that can be read"),
        (["RECORDED", "--since", "yesterday"], "--since must be a date or a time such as"),
        (["RECORDED", "--csv", "--json"], "exclude each other"),
        (["RECORDED", "--csv", "--repair"], "exclude each other"),
        (["RECORDED", "--output", "x"], "add --repair"),
        (["none.sqlite", "--repair"], "there is no file none.sqlite"),
        (["RECORDED", "--png", "evening.jpg"], "is written as PNG"),
        (["RECORDED", "--png", "evening.png", "--since", "2027-01-01"], "a chart needs at least one window"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str, recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 1000)
    places = {"RECORDED": str(recorded), "TEXT": str(tmp_path / "text")}
    done = history(*(places.get(argument, argument) for argument in arguments))
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_times_of_a_clock_that_was_not_set_are_doubted(recorded: Path) -> None:
    assert history(recorded).stderr == ""
    write(recorded, [window_row(at=EVENING, start=n, clock=0) for n in range(3)])
    assert history(recorded).stderr == (
        "warning: the clock was not synchronised for 3 windows, in 1 starts of the machine: their order is right, "
        "their hours may be wrong\n"
    )
    assert history(recorded, "--since", "2026-11-23T21:00").stderr == ""


def test_an_hour_that_is_repeated_in_autumn_is_there_twice_with_its_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    rows = [window_row(at=first + timedelta(hours=hour), start=3600.0 * hour) for hour in range(3)]
    write(tmp_path / "h", rows, hop_seconds=60.0)
    assert history(tmp_path / "h").stdout.splitlines() == [
        "local time, with its offset from UTC",
        "Sunday, 2026-10-25",
        "  02:00+02:00  Halk 1:00",
        "  02:00+01:00  Halk 1:00",
        "  03:00+01:00  Halk 1:00",
    ]


@pytest.mark.parametrize("genre", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_a_spreadsheet_takes_no_genre_for_a_formula(genre: str, recorded: Path) -> None:
    change(recorded, f"UPDATE sources SET genres = replace(genres, 'Halk', '{genre}')")
    genres = {row["genre"] for row in csv.DictReader(io.StringIO(history(recorded, "--csv").stdout))}
    assert genres == {f"'{genre}", "Caz"}
    document = json.loads(history(recorded, "--json").stdout)
    assert {hour["genre"] for hour in document["hours"]} == {genre, "Caz"}


JUNK = ("NULL", "'text'", "x'00ff'", "1e308", "-1e308", "9e999", "-9223372036854775808", "9223372036854775807")


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("table", ["sources", "segments", "window_rows"])
def test_values_of_any_type_end_in_a_table_or_in_one_line(table: str, junk: str, recorded: Path) -> None:
    with closing(sqlite3.connect(recorded)) as connection:
        (definition,) = connection.execute(f"SELECT sql FROM sqlite_master WHERE name = '{table}'").fetchone()
        columns = [name for (name,) in connection.execute(f"SELECT name FROM pragma_table_info('{table}')")][1:]
        names, values = ", ".join(columns), ", ".join(junk for _ in columns)
        forged = [values if only is None else ", ".join(junk if name == only else name for name in columns)
                  for only in (None, *columns)]  # fmt: skip
        contents = connection.execute(f"SELECT * FROM {table}").fetchall()
        for row in forged:
            connection.executescript(f"DROP TABLE {table}; CREATE TABLE {table} (id INTEGER PRIMARY KEY, {names})")
            connection.execute("PRAGMA writable_schema = ON")
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * (len(columns) + 1))})", contents)
            connection.execute(f"UPDATE {table} SET ({names}) = ({row})")
            connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (definition, table))
            connection.commit()
            for form in ((), ("--csv",), ("--json",)):
                done = history(recorded, *form)
                assert done.exit_code in (0, 2), row
                assert isinstance(done.exception, SystemExit | None)
                assert done.exit_code == 0 or done.stderr.count("\n") == 1


def test_a_copy_without_its_log_says_what_may_be_missing(recorded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with closing(open_history(recorded)):
        copy.write_bytes(recorded.read_bytes())
    done = history(copy)
    assert done.exit_code == 0
    assert done.stderr == (
        f"warning: {copy} was in use when it was copied, and its copy.sqlite-wal is not beside it: what was heard "
        "after 2026-11-23 21:09:00 may be missing\n"
    )


def test_a_damaged_history_is_repaired_into_a_new_file(recorded: Path) -> None:
    overwrite(recorded, 1)
    refused = history(recorded)
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert f"tmgc-listen history {recorded} --repair saves what is whole" in refused.stderr
    done = history("--repair", recorded)
    repaired = recorded.with_name("recorded.repaired.sqlite")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"{repaired}: 40 windows and 0 events of {recorded} are saved\n" in done.stderr
    assert "Halk 22:00  Caz 8:00" in history(repaired).stdout
    again = history(recorded, "--repair")
    assert (again.exit_code, "Name another one with --output" in again.stderr) == (2, True)
    assert history(recorded, "--repair", "--output", recorded.with_name("other.sqlite")).exit_code == 0


def test_it_imports_nothing_heavy(recorded: Path) -> None:
    program = (
        "import atexit, sys; from edge_runtime.cli.listen import main\n"
        "heavy = {'rich', 'soundfile', 'ai_edge_litert', 'matplotlib'}\n"
        "atexit.register(lambda: print('imported:', heavy & set(sys.modules)))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "history", recorded], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "imported: set()"
