"""A damaged history loses what was on its damaged pages, and nothing else."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import TmgcError
from edge_runtime.history.database import open_history
from edge_runtime.history.recorder import Recorder, SourceDescription
from edge_runtime.history.repair import Repair, repair
from edge_runtime.history.schema import Codes, EventRow, WindowRow
from tests.edge_runtime.factories import GENRES
from tests.edge_runtime.history.recorded import (
    NOON,
    change,
    evening,
    event_row,
    leaf_pages,
    overwrite,
    query,
    window_row,
    write,
)

ROWS: list[WindowRow | EventRow] = [
    event_row(reason="x" * 9000),  # on overflow pages
    *evening(30),
    event_row(at=NOON + timedelta(minutes=31)),
    *[window_row("silence", at=NOON + timedelta(hours=1, seconds=n), start=9000 + n) for n in range(300)],
]
WINDOWS = 2100
ALL = "SELECT * FROM windows ORDER BY id"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "heard.sqlite"
    write(path, ROWS)
    return path


def saved(path: Path) -> tuple[Repair, Path]:
    """Repair, and check that the damaged file is as it was and the new one whole."""
    content = path.read_bytes()
    repaired = path.with_name("repaired.sqlite")
    result = repair(path, repaired)
    assert path.read_bytes() == content
    assert query(repaired, "PRAGMA integrity_check") == [("ok",)]
    assert not list(path.parent.glob("*repaired.sqlite-*"))
    return result, repaired


def test_everything_of_a_whole_file_is_saved(path: Path) -> None:
    result, repaired = saved(path)
    assert (result.windows, result.events, result.damaged_pages) == (WINDOWS, 2, 0)
    for sql in (ALL, "SELECT * FROM events", "SELECT * FROM sources_copy", "SELECT * FROM segments_copy"):
        assert query(repaired, sql) == query(path, sql)


def test_a_damaged_page_in_the_middle_costs_its_own_rows(path: Path) -> None:
    before = query(path, ALL)
    pages = leaf_pages(path, "window_rows")
    per_page = len(before) // len(pages)
    overwrite(path, pages[3], os.urandom(4096))
    overwrite(path, pages[6])
    result, repaired = saved(path)
    assert result.damaged_pages == 2
    assert WINDOWS - 2 * (per_page + 80) < result.windows < WINDOWS - per_page
    assert set(query(repaired, ALL)) < set(before)


def test_rows_behind_a_damaged_page_of_pointers_are_saved(path: Path) -> None:
    before = query(path, ALL)
    ((root,),) = query(path, "SELECT rootpage FROM sqlite_master WHERE name = 'window_rows'")
    overwrite(path, root)
    result, repaired = saved(path)
    assert (result.windows, result.damaged_pages) == (WINDOWS, 1)
    assert query(repaired, ALL) == before


@pytest.mark.parametrize("table", ["sources", "segments", "sources_copy", "segments_copy"])
def test_the_copy_of_a_small_table_takes_its_place(table: str, path: Path) -> None:
    before = query(path, ALL)
    overwrite(path, leaf_pages(path, table)[0])
    _, repaired = saved(path)
    assert query(repaired, ALL) == before


def test_the_first_page_is_not_needed(path: Path) -> None:
    before = query(path, ALL)
    overwrite(path, 1)
    _, repaired = saved(path)
    assert query(repaired, ALL) == before


def test_a_file_that_was_cut_off_keeps_what_came_before_and_counts_what_is_missing(path: Path) -> None:
    pages = path.stat().st_size // 4096
    os.truncate(path, 4096 * (pages - 5) + 1000)
    result, _ = saved(path)
    assert 0 < result.windows < WINDOWS
    assert result.pages == pages
    assert 1 <= result.damaged_pages <= 5


def test_deleted_rows_stay_deleted(path: Path) -> None:
    change(path, "DELETE FROM window_rows WHERE id < 600000; PRAGMA incremental_vacuum(1)")
    result, repaired = saved(path)
    assert query(repaired, ALL) == query(path, ALL)
    assert result.damaged_pages == 0


def test_rows_in_the_write_ahead_log_are_saved(tmp_path: Path) -> None:
    path, copy = tmp_path / "open.sqlite", tmp_path / "heard.sqlite"
    with closing(open_history(path)) as connection:
        description = SourceDescription(model="m", names=Codes(GENRES).names, hop_seconds=1.0, boot_id="boot")
        Recorder(connection, description).write(ROWS)
        for ending in ("", "-wal"):
            shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
        before = query(path, ALL)
    overwrite(copy, 1)
    result, repaired = saved(copy)
    assert result.windows == WINDOWS
    assert query(repaired, ALL) == before


def test_sources_that_are_lost_get_the_genres_of_another_or_numbers(path: Path) -> None:
    for table in ("sources", "sources_copy"):
        overwrite(path, leaf_pages(path, table)[0])
    result, repaired = saved(path)
    assert (result.windows, result.unknown_sources) == (WINDOWS, 1)
    assert query(repaired, "SELECT DISTINCT genre FROM windows ORDER BY 1") == [
        ("genre 1",), ("genre 2",), ("genre 3",), ("silence",)
    ]  # fmt: skip


def test_windows_without_any_times_are_left_out_and_counted(path: Path) -> None:
    for table in ("segments", "segments_copy"):
        overwrite(path, leaf_pages(path, table)[0])
    result, _ = saved(path)
    assert (result.windows, result.events, result.without_segment) == (0, 2, WINDOWS)


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_stops_it_or_invents_rows(seed: int, path: Path) -> None:
    before = set(query(path, "SELECT * FROM window_rows"))
    generator = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    for position in generator.integers(4096, len(content), 40).tolist():
        content[position] = int(generator.integers(256))
    path.write_bytes(content)
    result, repaired = saved(path)
    assert result.windows > WINDOWS / 2
    different = set(query(repaired, "SELECT * FROM window_rows")) - before
    assert len(different) <= 40  # a byte within a number cannot be noticed


def test_nothing_to_save_is_one_line_and_no_file(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))
    with pytest.raises(TmgcError, match=r"has a page that is whole: .* has none, of 25"):
        repair(path, path.with_name("repaired.sqlite"))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 1"])
def test_another_program_s_file_is_refused(pragma: str, path: Path) -> None:
    change(path, f"PRAGMA {pragma}")
    with pytest.raises(TmgcError, match="of another schema or program"):
        repair(path, path.with_name("repaired.sqlite"))


def test_no_file_is_overwritten(path: Path) -> None:
    with pytest.raises(TmgcError, match="is a new file"):
        repair(path, path)
