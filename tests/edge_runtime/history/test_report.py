"""Totals of a history are by hour of local time."""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image

from edge_runtime import TmgcError
from edge_runtime.history.database import read_history
from edge_runtime.history.report import (
    Doubt,
    HourlyTotal,
    doubtful_times,
    hourly_totals,
    last_time,
    plot_totals,
    utc_offset,
)
from tests.edge_runtime.history import recorded
from tests.edge_runtime.history.recorded import NOON, change, evening, window_row


def write(path: Path, windows: list[tuple[datetime, str]], *, hop: float = 1.0) -> None:
    rows = [window_row(genre, at=at, start=number * 10.0, genres=GENRES) for number, (at, genre) in enumerate(windows)]
    recorded.write(path, rows, hop_seconds=hop, genres=GENRES)


GENRES = ("Caz", "Halk", "Pop", "Rap")


def read(path: Path, zone: str = "UTC", **limits: datetime) -> list[HourlyTotal]:
    with closing(read_history(path)) as connection:
        return hourly_totals(connection, zone=ZoneInfo(zone), **limits)


def test_seconds_are_windows_times_their_hop_and_the_longest_comes_first(tmp_path: Path) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    windows = [(noon + timedelta(seconds=10 * n), "Caz" if n % 3 else "Halk") for n in range(9)]
    write(tmp_path / "h", windows, hop=2.0)
    write(tmp_path / "h", [(noon + timedelta(minutes=50), "Halk")], hop=0.5)
    caz, halk = read(tmp_path / "h")
    assert (caz.genre, caz.seconds, caz.windows, round(caz.confidence, 9)) == ("Caz", 12.0, 6, 0.8)
    assert (halk.genre, halk.seconds, halk.windows) == ("Halk", 6.5, 4)
    assert caz.hour == halk.hour == noon


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("UTC", ["2026-11-23T20:00+00:00", "2026-11-23T21:00+00:00"]),
        ("Europe/Istanbul", ["2026-11-23T23:00+03:00", "2026-11-24T00:00+03:00"]),
        ("Asia/Kolkata", ["2026-11-24T01:00+05:30", "2026-11-24T02:00+05:30"]),
        ("Asia/Kathmandu", ["2026-11-24T02:00+05:45"]),
    ],
)
def test_hours_are_those_of_the_time_zone(zone: str, hours: list[str], tmp_path: Path) -> None:
    write(tmp_path / "h", [(datetime(2026, 11, 23, 20, 20, tzinfo=UTC), "Rap"),
                           (datetime(2026, 11, 23, 21, 10, tzinfo=UTC), "Rap")])  # fmt: skip
    found = read(tmp_path / "h", zone)
    assert [hour.hour.isoformat(timespec="minutes") for hour in found] == hours
    assert utc_offset(found[0].hour) == hours[0][-6:]


def test_the_hour_that_is_repeated_in_autumn_is_two(tmp_path: Path) -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, and 02:30 again an hour later
    write(tmp_path / "h", [(first, "Pop"), (first + timedelta(hours=1), "Pop")])
    found = [hour.hour.isoformat(timespec="minutes") for hour in read(tmp_path / "h", "Europe/Berlin")]
    assert found == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]


def test_since_and_until_exclude_the_rest(tmp_path: Path) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    write(tmp_path / "h", [(noon + timedelta(hours=n), "Rap") for n in range(5)])
    found = read(tmp_path / "h", since=noon + timedelta(hours=1), until=noon + timedelta(hours=3))
    assert [hour.hour for hour in found] == [noon + timedelta(hours=1), noon + timedelta(hours=2)]


def test_the_system_s_zone_is_the_default(tmp_path: Path) -> None:
    time = datetime(2026, 11, 23, 12, 40, tzinfo=UTC)
    write(tmp_path / "h", [(time, "Rap")])
    with closing(read_history(tmp_path / "h")) as connection:
        (hour,) = hourly_totals(connection)
    local: tzinfo | None = time.astimezone().tzinfo
    assert hour.hour == time.astimezone(local).replace(minute=0, second=0)


def test_windows_of_a_clock_that_was_never_right_are_counted_with_their_boots(tmp_path: Path) -> None:
    for boot in range(2):
        recorded.write(tmp_path / "h", evening(1, at=NOON + timedelta(hours=boot), clock=0), boot_id=str(boot))
    recorded.write(tmp_path / "h", evening(1, at=NOON + timedelta(hours=2)), boot_id="2")
    with closing(read_history(tmp_path / "h")) as connection:
        assert doubtful_times(connection) == Doubt(120, 2)
        assert doubtful_times(connection, since=NOON + timedelta(hours=1)) == Doubt(60, 1)
        assert doubtful_times(connection, since=NOON + timedelta(hours=2)) == Doubt(0, 0)
        assert last_time(connection) == NOON + timedelta(hours=2, seconds=59)


@pytest.mark.parametrize("time_ms", [-(2**63), -(10**9), 2**62, 2**63 - 1])
def test_impossible_times_are_left_out_and_counted(
    time_ms: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "h", [(NOON, "Rap"), (NOON + timedelta(hours=9), "Pop")])
    change(tmp_path / "h", f"UPDATE segments SET time_ms = {time_ms} WHERE first_id > 1")
    with caplog.at_level(logging.WARNING, "tmgc.history"):
        assert [total.genre for total in read(tmp_path / "h")] == ["Rap"]
    assert caplog.messages == ["1 windows have no source, or times before 1970 or after 2100: they are left out"]


def test_windows_whose_source_is_lost_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.write(tmp_path / "h", evening(1))
    recorded.write(tmp_path / "h", evening(2, at=NOON + timedelta(hours=1)))
    change(tmp_path / "h", "DELETE FROM sources WHERE id = 2")
    with caplog.at_level(logging.WARNING, "tmgc.history"):
        assert sum(total.windows for total in read(tmp_path / "h")) == 60
    assert caplog.messages[0].startswith("120 windows have no source")


@pytest.mark.parametrize("genres", ["", "[", "7", "[1, 2]", '{"a": 1}', r'["\u001b[2J", "b"]', "[" * 100_000])
def test_genres_that_are_no_names_are_refused_in_one_line(genres: str, tmp_path: Path) -> None:
    write(tmp_path / "h", [(NOON, "Rap")])
    change(tmp_path / "h", f"UPDATE sources SET genres = '{genres}'")
    with pytest.raises(TmgcError, match="genres are a list of names") as refused:
        read(tmp_path / "h")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("values", [
    ("answer = 9223372036854775807", "hop_s = 1e300"), ("answer = -9223372036854775808", "hop_s = -1"),
    ("measured = -1", "hop_s = 9e999"), ("id = id - 5", "name = x'ff'"), ("answer = 0", "genres = '[]'"),
])  # fmt: skip
def test_values_that_nothing_could_have_written_do_no_harm(values: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path / "h", [(NOON, "Rap"), (NOON + timedelta(hours=9), "Pop")])
    row, source = values
    text_as_blob = source.replace("x'ff'", "CAST(x'ff' AS TEXT)")
    change(tmp_path / "h", f"UPDATE window_rows SET {row}; UPDATE sources SET {text_as_blob}")
    totals = read(tmp_path / "h")
    assert all(0 <= total.seconds <= 86_400 and 0 <= total.confidence <= 1 for total in totals)


def test_a_chart_of_more_hours_than_can_be_seen_is_refused(tmp_path: Path) -> None:
    totals = [HourlyTotal(NOON + timedelta(hours=hour), "Pop", 60.0, 60, 0.5) for hour in range(3000)]
    with pytest.raises(TmgcError, match="at most 2500 hours: there are 3000"):
        plot_totals(totals, tmp_path / "c.png")


def test_the_chart_shows_both_hours_that_are_repeated_in_autumn(tmp_path: Path) -> None:
    first = datetime(2026, 10, 25, 0, tzinfo=UTC)
    write(tmp_path / "h", [(first, "Pop"), (first + timedelta(hours=1), "Rap")], hop=3600)
    plot_totals(read(tmp_path / "h", "Europe/Berlin"), tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    blue, orange = ((colours == colour).all(axis=1).sum() for colour in ((31, 119, 180), (255, 127, 14)))
    assert blue == pytest.approx(orange, rel=0.1)
