from dataclasses import replace

import numpy as np
import pytest

from benchmarks.checks.soak import Soak, SynthesisedStream, soak
from train.run import Run

PASSED = Soak(10.0, 36_000, 600.0, settled_mb=100.0, final_mb=101.9, files_left=0, threads_left=0)


@pytest.mark.parametrize("name", ["tiny.float32.tflite", "tiny.float32.onnx"])
def test_a_model_leaves_no_file_and_no_thread_behind(tiny_run: Run, name: str) -> None:
    found = soak(tiny_run.exports / name, hours=60 / 3600, threads=2, settling_seconds=10.0)
    assert found.windows == pytest.approx(59, abs=1)
    assert found.files_left == found.threads_left == 0
    assert found.settled_mb > 1


def test_memory_may_grow_by_two_percent() -> None:
    assert PASSED.passed
    assert not replace(PASSED, final_mb=102.1).passed
    assert replace(PASSED, final_mb=90.0).passed
    assert "ratio: 1.019 (at most 1.02)" in PASSED.lines


@pytest.mark.parametrize("left", ["files_left", "threads_left"])
def test_whatever_is_left_behind_fails_the_soak(left: str) -> None:
    assert not replace(PASSED, **{left: 1}).passed


def test_the_stream_is_as_long_as_asked_for_and_never_repeats() -> None:
    blocks = list(SynthesisedStream(8000, 2.0).blocks())
    samples = np.concatenate(blocks)
    assert samples.shape == (16_000,)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 1.0
    assert not np.array_equal(blocks[0], blocks[1])
