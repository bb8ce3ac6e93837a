from __future__ import annotations

from pathlib import Path
from time import perf_counter

import pytest

from benchmarks.checks.serving import CLIENTS, LiveNoise, measure_serving
from edge_runtime.models import SMALL_MODEL


def test_noise_waits_where_it_is_not_read() -> None:
    source = LiveNoise(8_000, 0.5)
    blocks = source.blocks()
    next(blocks)
    begun = perf_counter()
    while perf_counter() - begun < 0.1:
        pass
    assert source.waiting_seconds >= 0.1
    assert sum(map(len, blocks)) == 8_000 * 0.5 - 160
    assert source.waiting_seconds == pytest.approx(0, abs=0.02)


@pytest.mark.full
def test_a_listener_is_measured_with_and_without_its_page() -> None:
    result = measure_serving(Path(SMALL_MODEL), threads=1, seconds=6)
    assert 0 < result.added_mb < 40
    assert result.windows >= 4
    assert result.age.p50_ms > 0
    assert 3 < result.strip_kbit_s < 30
    assert result.added_ms > 0
    assert result.answers["200"] > 0
    assert result.answers["429"] > CLIENTS
    assert result.errors == 0
    assert len(result.lines) == 6
