"""Totals of a history are by hour of local time."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_runtime.history_report import HourlyTotal, hourly_totals, utc_offset
from edge_runtime.outputs.sqlite import open_history, read_history


def write(path: Path, windows: list[tuple[datetime, str]], *, hop: float = 1.0) -> None:
    with closing(open_history(path)) as connection, connection:
        source = connection.execute("INSERT INTO sources VALUES (NULL, 's', 'm', '[]', ?, NULL)", (hop,)).lastrowid
        for time, genre in windows:
            values = (time.timestamp(), 0.0, None, source, 0.0, genre, 0.5, genre, 0.5, "[]", -20.0, 1.0, 1.0, 0)
            connection.execute(f"INSERT INTO windows VALUES ({', '.join('?' * 14)})", values)


def read(path: Path, zone: str = "UTC", **limits: datetime) -> list[HourlyTotal]:
    with closing(read_history(path)) as connection:
        return hourly_totals(connection, zone=ZoneInfo(zone), **limits)


def test_seconds_are_windows_times_their_hop_and_the_longest_comes_first(tmp_path: Path) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    windows = [(noon + timedelta(seconds=10 * n), "Caz" if n % 3 else "Halk") for n in range(9)]
    write(tmp_path / "h", windows, hop=2.0)
    write(tmp_path / "h", [(noon + timedelta(minutes=50), "Halk")], hop=0.5)
    caz, halk = read(tmp_path / "h")
    assert (caz.genre, caz.seconds, caz.windows, caz.confidence) == ("Caz", 12.0, 6, 0.5)
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
