"""Single rows of a history by time."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_runtime.history.database import read_history
from edge_runtime.history.rows import stored_windows
from edge_runtime.outputs.sqlite import History
from tests.edge_runtime.factories import GENRES, make_prediction

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_rows_are_those_of_the_view_whose_time_lies_between(tmp_path: Path) -> None:
    history = History(tmp_path / "heard.sqlite", model="m", genres=GENRES, hop_seconds=1.0)
    genres = ["Halk", "unknown", "silence", "Caz"]
    for number in range(20):
        later = 3600 * (number // 5)  # a new segment, as after each start
        time = NOON + timedelta(seconds=later + number)
        history.window(make_prediction(genres[number % 4], time=time, start=float(later + number)))
    history.close()
    with closing(read_history(tmp_path / "heard.sqlite")) as connection:
        viewed = connection.execute(
            "SELECT time, genre, confidence, smoothed_genre, smoothed_confidence, level_dbfs FROM windows"
        ).fetchall()
        for first, last, limit in ((0, 20, 100), (3, 17, 100), (0, 20, 4)):
            since, until = (datetime.fromtimestamp(viewed[row][0], UTC) for row in (first, last - 1))
            rows = stored_windows(connection, since=since, until=until + timedelta(milliseconds=1), limit=limit)
            found = [
                (row.time.timestamp(), row.genre, row.confidence, row.smoothed_genre, row.smoothed_confidence)
                for row in rows
            ]
            assert found == [row[:5] for row in viewed[first:last]][-limit:]
