"""What is stored of a window can be read again in the sqlite3 shell."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.history.schema import Codes, pack_measured
from tests.edge_runtime.factories import GENRES, make_prediction
from tests.edge_runtime.history.recorded import NOON, event_row, query, window_row, write


def test_the_view_of_windows_shows_all_that_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "h", [window_row("Caz", start=3.5), window_row("silence", start=4.5)])
    (caz, silence) = query(tmp_path / "h", "SELECT * FROM windows")
    times = ("2026-11-23 12:00:00", NOON.timestamp(), 1, "microphone", 3.5)
    assert caz[1:] == (*times, "Caz", 0.8, "Caz", "Halk", 0.1, "Caz", 0.8, -20.0, 18.5, 19)
    assert silence[6:] == ("silence", 0.0, None, None, None, "silence", 0.0, -20.0, 18.5, 19)


def test_the_view_of_events_shows_all_that_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "h", [event_row()])
    (event,) = query(tmp_path / "h", "SELECT * FROM events")
    assert event[1:] == ("2026-11-23 12:00:00", NOON.timestamp(), 1, "microphone", "device lost", "it is gone")


def test_an_unknown_window_keeps_its_most_probable_genre(tmp_path: Path) -> None:
    unknown = replace(make_prediction("Caz", confidence=0.4), genre="unknown", smoothed_genre="unknown")
    row = replace(window_row(), answer=Codes(GENRES).answer(unknown))
    write(tmp_path / "h", [row])
    assert query(tmp_path / "h", "SELECT genre, most_probable, confidence, smoothed_genre FROM windows") == [
        ("unknown", "Caz", 0.4, "unknown")
    ]


@pytest.mark.parametrize("count", [2, 254, 255, 3000])
def test_every_genre_has_a_code_however_many_there_are(count: int, tmp_path: Path) -> None:
    genres = tuple(f"genre {number}" for number in range(count))
    write(tmp_path / "h", [window_row(genres[-1], genres=genres)], genres=genres)
    assert query(tmp_path / "h", "SELECT genre, smoothed_genre, second_genre FROM windows") == [
        (genres[-1], genres[-1], genres[0])
    ]


def test_more_genres_than_codes_are_refused() -> None:
    with pytest.raises(TmgcError, match="at most 16382 genres"):
        Codes(tuple(map(str, range(20_000))))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_numbers_that_no_model_should_give_are_stored_as_the_nearest_possible(value: float, tmp_path: Path) -> None:
    wild = make_prediction(
        confidence=value,
        smoothed_confidence=value,
        probabilities=dict.fromkeys(GENRES, value),
        level_dbfs=value,
        model_ms=value,
        delay_ms=value,
    )
    write(tmp_path / "h", [replace(window_row(), answer=Codes(GENRES).answer(wild), measured=pack_measured(wild))])
    ((confidence, smoothed, level, latency, delay),) = query(
        tmp_path / "h", "SELECT confidence, smoothed_confidence, level_dbfs, latency_ms, delay_ms FROM windows"
    )
    assert {confidence, smoothed} <= {0.0, 1.0}
    assert level in (0.0, -127.5)
    assert latency in (0.0, 2047.5)
    assert delay in (0, 2047)
