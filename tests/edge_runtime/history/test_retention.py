"""A history stays as young and as small as it was asked to, also without a clock."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.history import retention
from edge_runtime.history.database import close_after_writing, open_history
from edge_runtime.history.retention import Retention, prune, size_mb
from edge_runtime.history.schema import WindowRow
from tests.edge_runtime.history.recorded import NOON, evening, event_row, query, window_row, write

WRONG = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = 1 / 24
"""In days."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "h.sqlite"


def prune_all(path: Path, kept: Retention, *, now: datetime | None) -> int:
    """Prune as often as needed; the number of steps."""
    connection, steps = open_history(path), 1
    while prune(connection, kept, now_ms=round(now.timestamp() * 1000) if now else None):
        steps += 1
    close_after_writing(connection)
    return steps


def starts(path: Path) -> list[float]:
    return [start for (start,) in query(path, "SELECT start_s FROM windows ORDER BY id")]


def test_rows_older_than_the_days_to_keep_are_deleted_by_a_right_clock(path: Path) -> None:
    write(path, [event_row(), *evening(120), event_row(at=NOON + timedelta(hours=2))])
    prune_all(path, Retention(days=HOUR), now=NOON + timedelta(hours=2))
    assert len(starts(path)) == pytest.approx(3600, abs=2)
    assert min(starts(path)) == pytest.approx(3600, abs=2)
    assert query(path, "SELECT count(*) FROM events") == [(1,)]


@pytest.mark.parametrize("clock", [1, None])
def test_everything_may_be_too_old(clock: int | None, path: Path) -> None:
    write(path, [*evening(60, clock=clock), event_row(clock=clock)])
    prune_all(path, Retention(days=HOUR), now=NOON + timedelta(days=99))
    assert (starts(path), query(path, "SELECT count(*) FROM event_rows")) == ([], [(0,)])


def test_without_a_clock_the_age_is_the_time_that_was_recorded_since(path: Path) -> None:
    for boot in range(5):  # the clock begins at the same wrong time after each start
        write(path, evening(30, at=WRONG, boot=10, clock=0), boot_id=str(boot))
    prune_all(path, Retention(days=0.75 * HOUR), now=None)
    assert len(starts(path)) == pytest.approx(2700, abs=3)
    assert query(path, "SELECT DISTINCT boot_id FROM sources") == [("3",), ("4",)]


def test_a_wrong_time_deletes_nothing_although_the_clock_is_right_by_now(path: Path) -> None:
    write(path, evening(10, at=datetime(1999, 1, 1, tzinfo=UTC), clock=0), boot_id="before")
    write(path, evening(10))
    prune_all(path, Retention(days=HOUR), now=NOON + timedelta(minutes=10))
    assert len(starts(path)) == 1200


def test_rows_before_a_row_that_is_too_old_are_too_old(path: Path) -> None:
    write(path, evening(10, at=WRONG, clock=0), boot_id="never online")
    write(path, evening(10))
    prune_all(path, Retention(days=1), now=NOON + timedelta(days=2))
    assert not starts(path)


def test_the_oldest_are_deleted_where_the_file_is_too_large_and_their_space_is_freed(path: Path) -> None:
    rows = [WindowRow("a", round(1.8e12 + 1000 * n), 0, 0, 1000 * n, 1 << 44, 1 << 30) for n in range(120_000)]
    write(path, [event_row(clock=0), *rows])
    assert path.stat().st_size > 2e6
    steps = prune_all(path, Retention(megabytes=1), now=None)
    assert 0.9e6 < path.stat().st_size <= 1e6
    kept = starts(path)
    assert kept == list(range(int(kept[0]), 120_000))
    assert query(path, "SELECT count(*) FROM event_rows") == [(0,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert 2 < steps < 60


def test_many_sources_and_events_are_pruned_by_size_as_well(path: Path) -> None:
    rows = [event_row(reason="x" * 500) for _ in range(4000)]
    write(path, rows)
    prune_all(path, Retention(megabytes=1), now=None)
    assert path.stat().st_size <= 1e6
    assert query(path, "SELECT count(*) FROM event_rows")[0][0] > 1000


def test_a_step_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP_PAGES", 2)
    write(path, [*evening(20), window_row(at=NOON + timedelta(days=9), start=1e6)])
    with closing(open_history(path)) as connection:
        before = size_mb(connection)
        now_ms = round((NOON + timedelta(days=9)).timestamp() * 1000)
        assert prune(connection, Retention(days=1), now_ms=now_ms, step_rows=100)
        assert connection.execute("SELECT count(*) FROM window_rows").fetchone() == (1101,)
        assert size_mb(connection) <= before
    assert prune_all(path, Retention(days=1), now=NOON + timedelta(days=9)) > 1
    assert starts(path) == [1e6]


def test_what_is_not_needed_any_more_goes_with_the_rows(path: Path) -> None:
    for number in range(20):
        write(path, evening(1, at=NOON + timedelta(hours=number)), boot_id=str(number))
    prune_all(path, Retention(days=2.5 * HOUR), now=NOON + timedelta(hours=20))
    for table in ("sources", "sources_copy"):
        assert query(path, f"SELECT boot_id FROM {table} ORDER BY id") == [("18",), ("19",)]
    assert query(path, "SELECT count(*) FROM segments_copy") == query(path, "SELECT count(*) FROM segments") == [(2,)]


@pytest.mark.parametrize("wrong", [{"days": 0.0}, {"days": float("nan")}, {"megabytes": 0.5}, {"megabytes": -1.0},
                                   {"megabytes": float("nan")}, {"megabytes": float("inf")}])  # fmt: skip
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TmgcError, match="--keep-"):
        Retention(**wrong)
