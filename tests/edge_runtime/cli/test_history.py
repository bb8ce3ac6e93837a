"""``tmgc-listen history`` prints what played when."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_runtime.outputs.sqlite import open_history

EVENING = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Forty minutes from 20:30 in Istanbul: Halk, and every fourth window Caz."""
    path = tmp_path / "kept.sqlite"
    with closing(open_history(path)) as connection, connection:
        connection.execute("INSERT INTO sources VALUES (1, 'microphone', 'm', '[]', 60.0, NULL)")
        for minute in range(40):
            time, genre = (EVENING + timedelta(minutes=minute)).timestamp(), "Halk" if minute % 4 else "Caz"
            values = (time, 0.0, 1, 1, 0.0, genre, 0.5, genre, 0.5, "[]", -20.0, 1.0, 1.0, 0)
            connection.execute(f"INSERT INTO windows VALUES ({', '.join('?' * 14)})", values)
    return path


def history(*arguments: object, zone: str = "Europe/Istanbul", program: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{program}\nfrom edge_runtime.cli.listen import main; main()"
    command = [sys.executable, "-c", code, "history", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TZ": zone}, check=False)


def test_a_person_reads_days_and_hours_of_local_time(kept: Path) -> None:
    done = history(kept)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "local time, UTC+03:00",
        "Monday, 2026-11-23",
        "  20:00  Halk 22:00  Caz 8:00",
        "  21:00  Halk 8:00  Caz 2:00",
    ]


def test_a_day_may_end_in_another_zone(kept: Path) -> None:
    assert [line.split()[0] for line in history(kept, zone="Asia/Tokyo").stdout.splitlines()[1:]] == [
        "Tuesday,",
        "02:00",
        "03:00",
    ]


def test_csv_and_json_hold_the_same(kept: Path) -> None:
    table = list(csv.DictReader(io.StringIO(history(kept, "--csv").stdout)))
    document = json.loads(history(kept, "--json").stdout)
    assert table[0] == {
        "hour": "2026-11-23T20:00+03:00", "genre": "Halk", "seconds": "1320.0", "windows": "22", "confidence": "0.5"
    }  # fmt: skip
    assert document["schema"] == 1
    assert [{name: str(value) for name, value in hour.items()} for hour in document["hours"]] == table


def test_since_and_until_are_local_times(kept: Path) -> None:
    done = history(kept, "--since", "2026-11-23T21:00", "--until", "2026-11-23T21:05", "--json")
    assert sum(hour["windows"] for hour in json.loads(done.stdout)["hours"]) == 5


def test_a_time_at_which_nothing_was_heard_is_no_error(kept: Path) -> None:
    done = history(kept, "--since", "2027-01-01")
    assert (done.returncode, done.stdout) == (0, "nothing was heard in that time\n")


def test_a_picture_is_drawn(kept: Path, tmp_path: Path) -> None:
    done = history(kept, "--png", tmp_path / "evening.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "evening.png").read_bytes().startswith(b"\x89PNG")
    assert done.stdout == ""


def test_without_matplotlib_a_line_says_what_to_install(kept: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['matplotlib'] = None"
    done = history(kept, "--png", tmp_path / "evening.png", program=program)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --png needs matplotlib, which is not installed: pip install matplotlib")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.sqlite"], "there is no file none.sqlite"),
        (["TEXT"], "is a SQLite file that can be read"),
        (["KEPT", "--since", "yesterday"], "--since is a date or a time such as"),
        (["KEPT", "--csv", "--json"], "exclude each other"),
        (["KEPT", "--png", "evening.jpg"], "is written as PNG"),
        (["KEPT", "--png", "evening.png", "--since", "2027-01-01"], "nothing was heard"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 1000)
    places = {"KEPT": str(kept), "TEXT": str(tmp_path / "text")}
    done = history(*(places.get(argument, argument) for argument in arguments))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_times_of_a_clock_that_was_not_set_are_doubted(kept: Path) -> None:
    assert history(kept).stderr == ""
    with closing(open_history(kept)) as connection, connection:
        connection.execute("UPDATE windows SET clock_synchronised = 0 WHERE rowid <= 3")
    assert history(kept).stderr == ("warning: the clock was not synchronised for 3 windows: their hours may be wrong\n")
    assert history(kept, "--since", "2026-11-23T21:00").stderr == ""


def test_it_loads_nothing_heavy(kept: Path) -> None:
    heavy = {"rich", "soundfile", "ai_edge_litert", "matplotlib"}
    program = f"import atexit, sys; atexit.register(lambda: print('loaded:', {heavy} & set(sys.modules)))"
    assert history(kept, program=program).stdout.splitlines()[-1] == "loaded: set()"
