from time import perf_counter

import numpy as np

from benchmarks.checks.listening import PacedNoise, time_overhead
from edge_runtime.interpreters import open_interpreter
from train.run import Run


def test_every_window_has_its_time_in_invoke_and_beside_it(tiny_run: Run) -> None:
    interpreter = open_interpreter(tiny_run.exports / "tiny.float32.tflite", threads=1)
    result = time_overhead(interpreter, windows=4, hop_seconds=0.1)
    assert len(result.overhead.samples_ms) == len(result.invoke.samples_ms) == 4
    assert result.overhead.min_ms > 0
    assert result.invoke.min_ms > 0
    assert result.lines[-1].startswith("ratio: ")


def test_the_noise_comes_no_faster_than_time_goes_by() -> None:
    begun = perf_counter()
    blocks = list(PacedNoise(8_000, 0.3).blocks())
    assert perf_counter() - begun >= 0.3
    assert sum(map(len, blocks)) == 2_400
    assert np.std(blocks[0]) > 0.1
