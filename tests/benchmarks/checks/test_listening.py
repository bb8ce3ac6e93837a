from time import perf_counter

import numpy as np

from benchmarks.checks.listening import PacedNoise
from benchmarks.checks.listening import measure_overhead as measure
from edge_runtime.interpreters import open_interpreter
from train.run import Run


def test_every_window_has_its_time_beside_invoke_and_in_it(tiny_run: Run) -> None:
    interpreter = open_interpreter(tiny_run.exports / "tiny.float32.tflite", threads=1)
    overheads_ms, invokes_ms = measure(interpreter, windows=4, hop_seconds=0.1)
    assert len(overheads_ms) == len(invokes_ms) == 4
    assert min(overheads_ms) > 0
    assert min(invokes_ms) > 0


def test_the_noise_comes_no_faster_than_time_goes_by() -> None:
    begun = perf_counter()
    blocks = list(PacedNoise(8_000, 0.3).blocks())
    assert perf_counter() - begun >= 0.3
    assert sum(map(len, blocks)) == 2_400
    assert np.std(blocks[0]) > 0.1
