"""The history of a listener over HTTP: hours, days, single windows, events, and what a stream has missed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from edge_runtime import Event, GenreClassifier
from edge_runtime.outputs.sqlite import History
from edge_runtime.server.past import MAX_WAITING, Past
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.running import ServedListener, serve_listener
from edge_runtime.server.settings import ServerSettings
from tests.edge_runtime.factories import GENRES, make_prediction
from tests.edge_runtime.server.conftest import request
from tests.edge_runtime.server.test_hub import stream

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def listener(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedListener]:
    """A listener that was started again: its history has windows of two days, and an event."""
    path = tmp_path_factory.mktemp("history") / "heard.sqlite"
    history = History(path, model="m", genres=GENRES, hop_seconds=1.0)
    for day in range(2):
        for second in range(10):
            time = NOON + timedelta(days=day, seconds=second)
            history.window(make_prediction("Halk" if second < 6 else "Caz", time=time, start=86_400.0 * day + second))
    history.event(Event(NOON + timedelta(days=1, seconds=10), "microphone", "device lost", "it is gone"))
    history.close()
    classifier = GenreClassifier.open(models["tflite"])
    with serve_listener(models["tflite"], classifier, ServerSettings(port=0), history=path) as served:
        request(served.address, "/v1/history")  # so that its thread is there
        yield served


@pytest.mark.parametrize("bucket", ["hour", "day"])
def test_windows_are_summed_up(bucket: str, listener: ServedListener) -> None:
    answer = request(listener.address, f"/v1/history?bucket={bucket}&since=2026-11-01").json
    assert answer["bucket"] == bucket
    assert [(row["genre"], row["windows"], row["seconds"]) for row in answer["rows"]] == [
        ("Halk", 6, 6.0),
        ("Caz", 4, 4.0),
    ] * 2
    starts = [datetime.fromisoformat(row["start"]) for row in answer["rows"]]
    assert starts[0] <= NOON < starts[2] + timedelta(days=1)


def test_a_time_selects_single_windows(listener: ServedListener) -> None:
    query = "bucket=window&since=2026-11-27T12:00:02Z&until=2026-11-27T12:00:08Z"
    rows = request(listener.address, f"/v1/history?{query}").json["rows"]
    assert [row["time"] for row in rows] == [f"2026-11-27T12:00:0{second}.000Z" for second in range(2, 8)]
    assert rows[0] == {
        "time": "2026-11-27T12:00:02.000Z",
        "genre": "Halk",
        "confidence": 0.8,
        "smoothed": {"genre": "Halk", "confidence": 0.8},
        "level_dbfs": -20.0,
        "source": "microphone",
    }


def test_events_come_from_the_history(listener: ServedListener) -> None:
    (event,) = request(listener.address, "/v1/events").json["events"]
    assert (event["event"], event["source"], event["reason"]) == ("device lost", "microphone", "it is gone")


def test_rows_are_also_a_table(listener: ServedListener) -> None:
    answer = request(listener.address, "/v1/history?format=csv&since=2026-11-01")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.body.decode().splitlines()[0] == "start,genre,seconds,windows,confidence"
    accepted = request(listener.address, "/v1/history?bucket=window&since=2026-11-01", headers={"Accept": "text/csv"})
    assert accepted.body.decode().splitlines()[:2] == [
        "time,genre,confidence,smoothed_genre,smoothed_confidence,level_dbfs,source",
        "2026-11-26T12:00:00.000Z,Halk,0.8,Halk,0.8,-20.0,microphone",
    ]


@pytest.mark.parametrize(("bucket", "windows"), [("window", 10), ("hour", 20), ("day", 20)])
def test_without_a_beginning_the_history_goes_back_only_so_far(
    bucket: str, windows: int, listener: ServedListener
) -> None:
    rows = request(listener.address, f"/v1/history?bucket={bucket}&until=2026-11-27T12:59:00Z").json["rows"]
    assert sum(row.get("windows", 1) for row in rows) == windows


@pytest.mark.parametrize(
    "query", ["since=yesterday", "until=2026-13-01", "bucket=year", "bucket=day&until=0001-01-01T00:00:00Z"]
)
def test_a_time_without_a_meaning_is_refused(query: str, listener: ServedListener) -> None:
    assert request(listener.address, f"/v1/history?{query}").status == 422


def test_a_stream_goes_on_after_the_server_was_started_again(listener: ServedListener) -> None:
    last = round((NOON + timedelta(days=1, seconds=3)).timestamp() * 1000)
    listener.hub.window(make_prediction(time=NOON + timedelta(days=1, seconds=20)))
    with stream(listener.address, **{"Last-Event-ID": str(last)}) as read:
        past, window = read(), read()
    assert past["event"] == "past"
    assert [row["time"][17:19] for row in past["data"]["windows"]] == ["04", "05", "06", "07", "08", "09"]
    assert [event["event"] for event in past["data"]["events"]] == ["device lost"]
    assert past["data"]["truncated"] is False
    assert window["event"] == "window"
    assert int(window["id"]) > int(past["id"]) > last


def test_a_stream_gets_the_past_right_after_the_server_was_started_again(
    models: dict[str, Path], tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    history = History(tmp_path / "heard.sqlite", model="m", genres=GENRES, hop_seconds=1.0)
    for second in range(10):
        history.window(make_prediction(time=now - timedelta(seconds=60 - second), start=float(second)))
    history.close()
    last = round((now - timedelta(seconds=55)).timestamp() * 1000)
    classifier = GenreClassifier.open(models["tflite"])
    with (
        serve_listener(
            models["tflite"], classifier, ServerSettings(port=0), history=tmp_path / "heard.sqlite"
        ) as served,
        stream(served.address, **{"Last-Event-ID": str(last)}) as read,
    ):
        past = read()
    assert past["event"] == "past"
    assert len(past["data"]["windows"]) == 4


def test_a_day_on_which_the_clock_changes_is_one_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path / "heard.sqlite", model="m", genres=GENRES, hop_seconds=1.0)
    for hour in range(24):
        begin = datetime(2026, 10, 24, 22, tzinfo=UTC)
        history.window(make_prediction("Halk", time=begin + timedelta(hours=hour), start=3600.0 * hour))
    history.close()
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        rows = asyncio.run(Past(tmp_path / "heard.sqlite").rows("day", None, None))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [(row["start"], row["windows"]) for row in rows] == [("2026-10-25T00:00+02:00", 24)]


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """A history of one window."""
    history = History(tmp_path / "heard.sqlite", model="m", genres=GENRES, hop_seconds=1.0)
    history.window(make_prediction(time=NOON))
    history.close()
    return tmp_path / "heard.sqlite"


def read_without_end(connection: Connection) -> Any:
    return connection.execute(ENDLESS).fetchone()


def test_only_so_many_readings_wait_whoever_still_waits_for_them(heard: Path) -> None:
    async def ask() -> int:
        past = Past(heard)
        asked = [asyncio.create_task(past._read(read_without_end)) for _ in range(1 + MAX_WAITING)]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(1):
                with pytest.raises(RefusedError) as refused:
                    await past.rows("day", None, None)
        finally:
            past.close()
            await asyncio.gather(*asked, return_exceptions=True)
        assert refused.value.headers["Retry-After"]
        return refused.value.status

    assert asyncio.run(ask()) == 429


def test_the_end_of_a_server_ends_what_it_reads(heard: Path) -> None:
    async def ask() -> None:
        past = Past(heard)
        reading = asyncio.create_task(past._read(read_without_end))
        while past._connection is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        past.close()
        async with asyncio.timeout(1):
            with pytest.raises(RefusedError):
                await reading

    asyncio.run(ask())


def test_a_statement_that_begins_after_the_end_of_a_server_ends_as_well(heard: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    def read(connection: Connection) -> Any:
        begun.set()
        ended.wait()
        return read_without_end(connection)

    async def ask() -> None:
        past = Past(heard)
        reading = asyncio.create_task(past._read(read))
        await asyncio.to_thread(begun.wait)
        past.close()
        ended.set()
        async with asyncio.timeout(20):
            with pytest.raises(RefusedError):
                await reading

    asyncio.run(ask())
