from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.checks.soak import Soak, SynthesisedStream, main, soak
from train.run import Run

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux tells of files and threads")

HELD = Soak(10.0, 36_000, 600.0, settled_mb=100.0, final_mb=101.9, files_left=0, threads_left=0)


@pytest.mark.parametrize("name", ["tiny.float32.tflite", "tiny.float32.onnx"])
def test_a_model_leaves_no_file_and_no_thread_behind(tiny_run: Run, name: str) -> None:
    found = soak(tiny_run.exports / name, hours=60 / 3600, threads=2, settling_seconds=10.0)
    assert found.windows == pytest.approx(59, abs=1)
    assert found.files_left == found.threads_left == 0
    assert found.settled_mb > 1


def test_memory_may_grow_by_two_percent() -> None:
    assert HELD.held
    assert not replace(HELD, final_mb=102.1).held
    assert replace(HELD, final_mb=90.0).held
    assert "ratio: 1.019 (at most 1.02)" in HELD.lines


@pytest.mark.parametrize("left", ["files_left", "threads_left"])
def test_whatever_is_left_behind_fails_the_soak(left: str) -> None:
    assert not replace(HELD, **{left: 1}).held


def test_the_stream_is_as_long_as_asked_for_and_never_repeats() -> None:
    blocks = list(SynthesisedStream(8000, 2.0).blocks())
    sound = np.concatenate(blocks)
    assert sound.shape == (16_000,)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() <= 1.0
    assert not np.array_equal(blocks[0], blocks[1])


def test_a_missing_model_is_refused_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "no.tflite")])
    assert result.exit_code == 2
    assert "a model file must exist" in result.stderr.splitlines()[-1]
