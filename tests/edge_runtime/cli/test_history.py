"""``tmgc-listen history`` prints how long each genre was played in each hour."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from edge_runtime.outputs.sqlite import open_history
from tests.edge_runtime.factories import listen_command

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
    with closing(open_history(path)) as connection, connection:
        connection.execute("INSERT INTO sources VALUES (1, 'microphone', 'm', '[]', 60.0, NULL)")
        for minute in range(40):
            at, genre = (EVENING + timedelta(minutes=minute)).timestamp(), "Halk" if minute % 4 else "Caz"
            values = (at, 0.0, 1, 1, 0.0, genre, 0.5, genre, 0.5, "[]", -20.0, 1.0, 1.0, 0)
            connection.execute(f"INSERT INTO windows VALUES ({', '.join('?' * 14)})", values)
    return path


def history(*arguments: object, charset: str = "utf-8") -> Result:
    return listen_command("history", *arguments, charset=charset)


def test_a_locale_that_lacks_letters_of_a_genre_gets_similar_ones_and_json_is_utf_8(recorded: Path) -> None:
    with closing(open_history(recorded)) as connection, connection:
        connection.execute("UPDATE windows SET genre = 'ışık', smoothed_genre = 'ışık'")
    assert "  20:00  isik 30:00\n" in history(recorded, charset="latin-1").stdout
    assert "isik" in history(recorded, "--csv", charset="latin-1").stdout
    document = history(recorded, "--json", charset="latin-1").stdout_bytes.decode("utf-8")
    assert {hour["genre"] for hour in json.loads(document)["hours"]} == {"ışık"}


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
        "hour": "2026-11-23T20:00+03:00", "genre": "Halk", "seconds": "1320.0", "windows": "22", "confidence": "0.5"
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
    assert done.stderr.startswith("error: --png needs matplotlib, which is not installed: pip install matplotlib")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.sqlite"], "there is no file none.sqlite"),
        (["TEXT"], "must be a SQLite file that can be read"),
        (["RECORDED", "--since", "yesterday"], "--since must be a date or a time such as"),
        (["RECORDED", "--csv", "--json"], "exclude each other"),
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
    with closing(open_history(recorded)) as connection, connection:
        connection.execute("UPDATE windows SET clock_synchronised = 0 WHERE rowid <= 3")
    assert history(recorded).stderr == (
        "warning: the clock was not synchronised for 3 windows: their hours may be wrong\n"
    )
    assert history(recorded, "--since", "2026-11-23T21:00").stderr == ""


def test_it_imports_nothing_heavy(recorded: Path) -> None:
    program = (
        "import atexit, sys; from edge_runtime.cli.listen import main\n"
        "heavy = {'rich', 'soundfile', 'ai_edge_litert', 'matplotlib'}\n"
        "atexit.register(lambda: print('imported:', heavy & set(sys.modules)))\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "history", recorded], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "imported: set()"
