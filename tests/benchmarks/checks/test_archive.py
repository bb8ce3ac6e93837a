"""The check of archives judges every figure that has a limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.checks.archive import ArchiveCheck, PlainLoop, Tagging
from benchmarks.checks.archive_planning import Listing, Planning, time_planning

LOCAL = Tagging("local", 100, 2, 2.0, 0.2, 30.0, 10.0, 150.0, 155.0, driver_early_mb=300.0, driver_mb=310.0)
RAY = replace(LOCAL, engine="ray", seconds=6.1, start_seconds=4.2, early_mb=None, process_mb=None)
PLAIN = PlainLoop(10, 600, 5.0, 5.0)
PLANNING = Planning(10**7, 40_000, 60.0, 5.0, 200.0)
LISTING = Listing(200_000, 4.0, 1.0, base_mb=80.0, peak_mb=180.0)


def check(local: Tagging = LOCAL, ray: Tagging = RAY, planning: Planning = PLANNING) -> ArchiveCheck:
    return ArchiveCheck(8, 180.0, PLAIN, (local, ray), planning, LISTING)


def test_figures_within_their_limits_pass_and_are_told() -> None:
    assert check().passed
    text = "\n".join(check().lines)
    assert "25.00 songs/s a core (at least 20; 100 songs, 2 cores)" in text
    assert "0.95 of ray to local processes (at least 0.9) without their starts of 4.2 s and 0.2 s; 0.33 with" in text
    assert "memory of a process of ray: not measured" in text
    assert "150 MB after a tenth of the songs, 155 MB at the end (at most 250 MB, and 10% more)" in text
    assert "of a million, 20 s, of which the walk 5 s, and 500 MB more than the 80 MB of any run" in text


@pytest.mark.parametrize(
    "beyond",
    [
        {"local": replace(LOCAL, seconds=3.0, model_ms=30.0), "ray": replace(RAY, seconds=7.1)},
        {"local": replace(LOCAL, seconds=20.0, model_ms=300.0), "ray": replace(RAY, seconds=24.0)},
        {"ray": replace(RAY, seconds=6.3)},
        {"local": replace(LOCAL, process_mb=170.0)},
        {"local": replace(LOCAL, driver_mb=340.0)},
        {"local": replace(LOCAL, early_mb=251.0, process_mb=251.0)},
        {"planning": replace(PLANNING, seconds=11.0)},
        {"planning": replace(PLANNING, peak_mb=301.0)},
    ],
    ids=[
        "rate",
        "rate of a large model",
        "Ray",
        "growth",
        "driver",
        "memory",
        "seconds of planning",
        "memory of planning",
    ],
)
def test_each_figure_beyond_its_limit_fails(beyond: dict[str, Any]) -> None:
    assert not check(**beyond).passed


def test_a_model_that_takes_longer_than_decoding_may_be_slower() -> None:
    slow = replace(LOCAL, seconds=10.0, model_ms=300.0)
    assert check(local=slow, ray=replace(RAY, seconds=14.0)).passed


def test_planning_is_a_run_with_nothing_to_do_over_shards_that_are_there(tmp_path: Path) -> None:
    planning = time_planning(tmp_path / "out", 20_000)
    assert 40 < planning.shards < 160
    assert (tmp_path / "out" / "counts.parquet").is_file()
    assert f"of 20,000 songs in {planning.shards} shards" in planning.line
