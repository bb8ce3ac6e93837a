"""Rows get ids that tell their time and position, and times that the clock had wrong are put right."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.history.database import open_history
from edge_runtime.history.recorder import Recorder, SourceDescription
from edge_runtime.history.schema import Codes, EventRow, WindowRow
from tests.edge_runtime.factories import GENRES
from tests.edge_runtime.history.recorded import NOON, evening, event_row, query, window_row, write

WRONG = datetime(2024, 1, 1, tzinfo=UTC)
"""What a clock without a battery says after the start."""


def times(path: Path) -> list[float]:
    return [time for (time,) in query(path, "SELECT time FROM windows ORDER BY id")]


def seconds(path: Path) -> list[float]:
    """Times of the windows, in seconds after noon."""
    return [round(time - NOON.timestamp(), 3) for time in times(path)]


@pytest.mark.parametrize("pace", [1.0, 0.01, 0.3, 1.5])
def test_times_and_positions_are_those_of_the_rows_within_a_second(pace: float, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    elapsed = np.arange(500) * 0.998 * pace + generator.uniform(0, 0.8, 500)
    rows = [
        window_row(at=NOON + timedelta(seconds=second), start=0.998 * number, boot=second)
        for number, second in enumerate(elapsed.tolist())
    ]
    write(tmp_path / "h", rows)
    assert np.abs(np.array(seconds(tmp_path / "h")) - elapsed).max() < 1.001
    starts = [start for (start,) in query(tmp_path / "h", "SELECT start_s FROM windows ORDER BY id")]
    np.testing.assert_allclose(starts, 0.998 * np.arange(500), atol=0.1)


@pytest.mark.parametrize("kind", ["live", "a file", "dropped windows", "events between"])
def test_a_window_a_second_takes_less_than_2_mb_a_day(kind: str, tmp_path: Path) -> None:
    answers = np.random.default_rng(1).integers(0, 1 << 45, 21_600).tolist()  # the widest that ten genres give
    step = {"a file": 1 / 60, "dropped windows": 2.0}.get(kind, 1.0)
    rows = [
        WindowRow("a", round(1.8e12 + 1000 * step * n), 0, 1, 1000 * n * (2 if step == 2 else 1), answer, 2**31 - 1 - n)
        for n, answer in enumerate(answers[: 10_800 if step == 2 else None])
    ]
    events = [event_row(at=datetime.fromtimestamp(1.8e9 + n * 600, UTC)) for n in range(36)]
    mixed: list[WindowRow | EventRow] = [*rows] if kind != "events between" else [*rows[:9000], *events, *rows[9000:]]
    write(tmp_path / "empty", [])
    write(tmp_path / "h", mixed)
    assert query(tmp_path / "h", "SELECT count(*) FROM window_rows") == [(len(rows),)]
    assert (tmp_path / "h").stat().st_size - (tmp_path / "empty").stat().st_size < 2e6 / 4


def test_what_was_recorded_before_the_clock_was_right_is_put_right(tmp_path: Path) -> None:
    before = evening(2, at=WRONG, boot=20, clock=0)
    after = evening(2, at=NOON + timedelta(seconds=200), boot=220)
    write(tmp_path / "h", [event_row(at=WRONG, boot=10, clock=0), *before, *after])
    found = seconds(tmp_path / "h")
    assert found == [*range(120), *range(200, 320)]
    assert query(tmp_path / "h", "SELECT time, clock_synchronised FROM events") == [(NOON.timestamp() - 10, 2)]
    assert query(tmp_path / "h", "SELECT DISTINCT clock_synchronised FROM windows") == [(2,), (1,)]


def test_several_wrong_times_of_one_boot_are_put_right_also_by_a_later_process(tmp_path: Path) -> None:
    write(tmp_path / "h", evening(1, at=WRONG, boot=20, clock=0))
    jumps = [(WRONG + timedelta(days=900), 80), (WRONG - timedelta(days=9000), 140), (NOON + timedelta(days=9), 200)]
    for at, boot in jumps:
        write(tmp_path / "h", evening(1, at=at, boot=boot, clock=0))
    write(tmp_path / "h", evening(1, at=NOON + timedelta(seconds=240), boot=260))
    assert seconds(tmp_path / "h") == list(range(300))


def test_other_boots_are_left_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "h", evening(1, at=WRONG, boot=20, clock=0), boot_id="never online")
    write(tmp_path / "h", evening(1, at=NOON, boot=20))
    assert times(tmp_path / "h")[:60] == [WRONG.timestamp() + number for number in range(60)]


def test_times_after_a_backward_jump_of_the_right_clock_are_kept(tmp_path: Path) -> None:
    forward = evening(1, at=NOON + timedelta(hours=1), boot=0)
    back = [window_row(at=NOON + timedelta(seconds=n), start=60 + n, boot=60 + n) for n in range(60)]
    write(tmp_path / "h", [*forward, *back])
    assert seconds(tmp_path / "h") == [*range(3600, 3660), *range(60)]


def test_time_in_suspension_is_no_time_of_sound(tmp_path: Path) -> None:
    resumed = [window_row(at=NOON + timedelta(hours=8, seconds=n), start=60 + n, boot=28_860 + n) for n in range(60)]
    write(tmp_path / "h", [*evening(1), *resumed])
    assert seconds(tmp_path / "h") == [*range(60), *range(28_800, 28_860)]


def test_two_processes_may_write_at_the_same_time(tmp_path: Path) -> None:
    description = SourceDescription(model="m", names=Codes(GENRES).names, hop_seconds=1.0, boot_id="boot")
    with closing(open_history(tmp_path / "h")) as one, closing(open_history(tmp_path / "h")) as other:
        recorders = Recorder(one, description), Recorder(other, description)
        for number in range(20):
            at = NOON + timedelta(seconds=number)
            for recorder, genre in zip(recorders, ("Halk", "Caz"), strict=True):
                recorder.write([window_row(genre, at=at, start=number)])
    found = query(tmp_path / "h", "SELECT genre, start_s, time FROM windows ORDER BY id")
    assert found == [(genre, float(n), NOON.timestamp() + n) for n in range(20) for genre in ("Halk", "Caz")]
