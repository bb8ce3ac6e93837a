"""Whatever is killed on the way, the rows are those of an undisturbed run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.edge_runtime.archive.chaos import check_equal, disturbed
from tests.edge_runtime.archive.library import TAG, write_copies

pytestmark = pytest.mark.full


def test_killed_workers_and_drivers_change_no_row(tmp_path: Path, models: dict[str, Path]) -> None:
    music = write_copies(tmp_path / "music", 10, seconds=40.0)
    command = [*TAG, str(music), "--model", str(models["tflite"]), "--windows", "all", "--workers", "2"]
    subprocess.run([*command, str(tmp_path / "undisturbed")], check=True)
    # a shard of these songs takes longer than the first start lasts
    done = disturbed([*command, str(tmp_path / "out")], worker_seconds=1.0, driver_seconds=[3.0, 3.0])
    assert check_equal(tmp_path / "undisturbed", tmp_path / "out") == 60
    assert done.drivers_killed == 2
    assert done.workers_killed > 5
