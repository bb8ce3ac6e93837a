from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from benchmarks.checks.listening import PacedNoise, listening_memory, measure_overhead
from edge_runtime.errors import TmgcError
from train.run import Run


def test_every_window_has_its_time_in_invoke_and_beside_it(tiny_run: Run) -> None:
    model = tiny_run.exports / "tiny.float32.tflite"
    result = measure_overhead(model, threads=1, windows=4, hop_seconds=0.1)
    assert len(result.overhead.samples_ms) == len(result.invoke.samples_ms) == 4
    assert result.overhead.min_ms > 0
    assert result.invoke.min_ms > 0
    assert result.lines[-1].startswith("ratio: ")
    assert 10 < result.memory.files_mb < result.memory.resident_mb < 150


def test_a_model_that_cannot_be_listened_with_has_no_memory_to_measure(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="it ended"):
        listening_memory(tmp_path / "missing.tflite", threads=1)


def test_the_noise_comes_no_faster_than_time_goes_by() -> None:
    begun = perf_counter()
    blocks = list(PacedNoise(8_000, 0.3).blocks())
    assert perf_counter() - begun >= 0.3
    assert sum(map(len, blocks)) == 2_400
    assert np.std(blocks[0]) > 0.1
