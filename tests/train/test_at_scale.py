"""A dataset of the size that users have, from songs to evaluation, with the memory of a small machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from train.run import Run

MOST_BYTES = 4 * 1024**3


# The process between starts with little memory: Linux counts the memory of a parent at the fork as its child's.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-c", "from train.cli import main; main()", *sys.argv[1:]], stdout=2).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def peak_memory(*arguments: object) -> int:
    """Run ``tmgc-train``; the peak resident memory, bytes, of it or of one of its workers."""
    command = [sys.executable, "-c", _MEASURED, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, arguments
    return int(done.stdout) * 1024


@pytest.mark.full
def test_1500_songs_are_prepared_trained_on_and_evaluated_in_4_gb(tmp_path: Path) -> None:
    songs, run = tmp_path / "songs", Run(tmp_path / "run")
    peak_memory("demo-corpus", songs, "--songs", 150, "--seconds", 8)
    small = ["--architecture", "mobilenet_v3_small", "--weights", "none", "--head-epochs", 5, "--epochs", 1]
    peaks = [
        peak_memory("prepare", songs, run.folder, "--offsets", "0,4"),
        peak_memory("fit", run.folder, *small, "--unfreeze", 0.2, "--learning-rate", 1e-3),
        peak_memory("evaluate", run.folder, "--robustness", "--baseline"),
    ]
    print("peak memory, MB:", [peak // 1_000_000 for peak in peaks])
    assert max(peaks) < MOST_BYTES
    evaluation = json.loads(run.evaluation_json("test").read_text("utf-8"))
    assert (evaluation["songs"], evaluation["clips"]) == (150, 300)
    assert evaluation["clip_accuracy"] > 0.2, "twice the accuracy of chance"
