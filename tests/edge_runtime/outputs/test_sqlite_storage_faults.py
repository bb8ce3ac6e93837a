"""The history goes on while its file or disk is full, missing or damaged, and keeps what can be stored."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import Event, TmgcError
from edge_runtime.history.database import open_history
from edge_runtime.outputs import sqlite
from tests.conftest import mounted_tmpfs, until
from tests.edge_runtime.factories import listen_command, make_prediction
from tests.edge_runtime.history.recorded import evening, event_row, leaf_pages, overwrite, query, write
from tests.edge_runtime.outputs.test_sqlite import open_tiny, starts


def test_a_file_that_cannot_be_written_for_a_while_loses_nothing_and_is_warned_of_once(
    path: Path, quick_batches: None, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    monkeypatch.setattr("edge_runtime.history.database.BUSY_SECONDS", 0.01)
    history = open_tiny(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for number in range(5):
            history.window(make_prediction(start=float(number)))
        until(lambda: history._failing)
        time.sleep(0.2)  # for further attempts
        other.execute("COMMIT")
    history.close()
    assert len(starts(path)) == 5
    warning, recovery = notices[1:]
    assert warning.endswith("Listening goes on, and its rows are queued")
    assert recovery == f"the history {path} is written again"


@pytest.fixture
def almost_full(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Leaves so many pages of the disk free from then on."""

    def leave(free: int) -> None:
        def with_little_room(where: Path) -> sqlite3.Connection:
            connection = open_history(where)
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + free}")
            return connection

        monkeypatch.setattr(sqlite, "open_history", with_little_room)

    return leave


def test_rows_that_a_full_disk_leaves_unwritten_are_counted_in_a_warning(
    path: Path,
    quick_batches: None,
    monkeypatch: pytest.MonkeyPatch,
    almost_full: Callable[[int], None],
    notices: list[str],
) -> None:
    monkeypatch.setattr(sqlite, "MAX_QUEUED_ROWS", 1500)
    almost_full(0)
    history = open_tiny(path)
    for number in range(2000):
        history.window(make_prediction(start=float(number)))
    until(lambda: history._failing)
    history.close()
    kept = len(starts(path))
    assert 0 < kept < 300  # a page of each table is there already
    assert len(notices) == 3
    assert notices[1].startswith("warning: the history cannot be written: database or disk is full")
    assert notices[2] == f"warning: {path} lacks {2000 - kept} rows that could not be written"


def test_what_fits_on_an_almost_full_disk_is_kept(
    path: Path, almost_full: Callable[[int], None], notices: list[str]
) -> None:
    history = open_tiny(path)
    almost_full(5)
    for number in range(3388):
        history.window(make_prediction(start=float(number)))
    history.close()
    found = starts(path)
    assert found == list(range(len(found)))
    assert len(found) > 700
    assert f"lacks {3388 - len(found)} rows" in notices[-1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 500 kB."""
    with mounted_tmpfs(tmp_path / "disk", "500k") as folder:
        yield folder


def test_a_file_system_with_200_kb_left_keeps_what_fits(small_disk: Path, notices: list[str]) -> None:
    (small_disk / "other").write_bytes(bytes(300_000))
    history = open_tiny(small_disk / "h.sqlite")
    for number in range(20_000):
        history.window(make_prediction(start=float(number)))
    history.close()
    found = starts(small_disk / "h.sqlite")
    assert found == list(range(len(found)))
    assert len(found) > 2000
    assert f"lacks {20_000 - len(found)} rows" in notices[-1]


def test_a_full_disk_gets_room_by_what_is_not_kept(
    small_disk: Path, quick_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: True)
    path = small_disk / "h.sqlite"
    write(path, evening(120, at=datetime(2020, 1, 1, tzinfo=UTC)))
    (small_disk / "other").write_bytes(bytes(500 * 1024 - path.stat().st_size - 90_000))
    history = open_tiny(path, keep_days=1)
    history.window(make_prediction("Caz"))
    until(lambda: path.stat().st_size < 80_000)
    history.close()
    assert query(path, "SELECT genre FROM windows") == [("Caz",)]


def test_a_disk_that_is_gone_for_a_while_costs_no_row(small_disk: Path, quick_batches: None) -> None:
    path = small_disk / "folder" / "h.sqlite"
    path.parent.mkdir()
    history = open_tiny(path)
    history.window(make_prediction(start=0.0))
    until(lambda: len(starts(path)) == 1)
    path.parent.rename(small_disk / "unplugged")
    history.window(make_prediction(start=1.0))
    until(lambda: history._failing)
    (small_disk / "unplugged").rename(path.parent)
    history.window(make_prediction(start=2.0))
    history.close()
    assert starts(path) == [0.0, 1.0, 2.0]


def test_a_disk_that_is_full_at_the_start_does_not_stop_it(
    small_disk: Path, quick_batches: None, notices: list[str]
) -> None:
    (small_disk / "other").write_bytes(bytes(490_000))
    history = open_tiny(small_disk / "h.sqlite")
    history.window(make_prediction())
    assert len(notices) == 1
    assert "Listening goes on" in notices[0]
    (small_disk / "other").unlink()
    until(lambda: not history._failing)
    history.close()
    assert starts(small_disk / "h.sqlite") == [0.0]


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_gone_is_created_again(how: str, path: Path, quick_batches: None) -> None:
    history = open_tiny(path)
    history.window(make_prediction(start=0.0))
    until(lambda: len(starts(path)) == 1)
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink(missing_ok=True)
    if how == "replaced":
        write(path.with_name("other"), [])
        path.with_name("other").rename(path)
    history.window(make_prediction(start=1.0))
    history.close()
    assert query(path, "SELECT start_s, source FROM windows") == [(1.0, "microphone")]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_damaged_history_is_set_aside_and_listening_goes_on(
    when: str, path: Path, quick_batches: None, notices: list[str]
) -> None:
    write(path, evening(30))
    if when == "before":
        path.write_bytes(bytes(path.stat().st_size))
    history = open_tiny(path)
    if when == "meanwhile":
        for page in range(2, path.stat().st_size // 4096 + 1):
            overwrite(path, page)
    for number in range(5):
        history.window(make_prediction(start=float(number)))
    history.close()
    assert len(starts(path)) == 5
    (aside,) = path.parent.glob("*.damaged-*")
    (warning,) = [notice for notice in notices if notice.startswith("warning")]
    assert f"it is set aside as {aside.name}, and a new one is begun" in warning


def test_a_damaged_page_that_only_pruning_meets_is_no_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: True)
    write(path, evening(60, at=datetime(2020, 1, 1, tzinfo=UTC)))
    overwrite(path, leaf_pages(path, "window_rows")[2])
    history = open_tiny(path, keep_days=1)
    history.window(make_prediction())
    history.close()
    assert len(list(path.parent.glob("*.damaged-*"))) == 1
    assert any("--repair" in notice for notice in notices)


def damaged(content: bytes, seed: int) -> bytes:
    """The content with some bytes or a page changed, two pages exchanged, or cut off."""
    generator = np.random.default_rng(seed)
    damage = bytearray(content)
    pages = len(content) // 4096
    one, other = (slice(4096 * page, 4096 * page + 4096) for page in generator.integers(pages, size=2).tolist())
    kind = seed % 6
    if kind in (0, 1, 2):
        end = (len(content), 4096, 100)[kind]
        for position in generator.integers(end, size=generator.choice([1, 5, 50])).tolist():
            damage[position] = int(generator.integers(256))
    elif kind == 3:
        damage[one] = generator.bytes(4096) if seed % 4 else bytes(4096)
    elif kind == 4:
        damage[one], damage[other] = damage[other], damage[one]
    else:
        del damage[int(generator.integers(len(content))) :]
    return bytes(damage)


@pytest.mark.parametrize("seeds", [range(24), pytest.param(range(30, 230), marks=pytest.mark.full)], ids=len)
def test_no_damage_stops_listening_reading_or_repair(
    seeds: range, path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    monkeypatch.setattr(sqlite, "clock_synchronised", lambda: True)
    write(path, [*evening(20), event_row(reason="x" * 5000)])
    content, outcomes = path.read_bytes(), Counter[str]()
    for seed in seeds:
        folder = path.with_name(str(seed))
        folder.mkdir()
        file = folder / "h.sqlite"
        file.write_bytes(damaged(content, seed))
        for command in ((), ("--repair",)):
            done = listen_command("history", file, *command)
            assert isinstance(done.exception, SystemExit | None), seed
            assert done.exit_code in (0, 2), seed
            outcomes[f"history {' '.join(command)}: exit code {done.exit_code}"] += 1
        try:
            history = open_tiny(file, keep_days=1)
        except TmgcError as error:  # its mark is damaged
            outcomes[str(error).partition(str(file))[2]] += 1
            continue
        history.event(Event(datetime.now(UTC), "microphone", "overload", "this one"))
        history.close()
        assert query(file, "SELECT count(*) FROM event_rows WHERE reason = 'this one'") == [(1,)], seed
        outcomes["set aside" if list(folder.glob("*.*-20*")) else "continued"] += 1
        shutil.rmtree(folder)
    print(dict(outcomes))
    assert outcomes["set aside"] + outcomes["continued"] >= 0.95 * len(seeds)
