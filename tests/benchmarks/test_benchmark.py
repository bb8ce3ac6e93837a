from pathlib import Path

import numpy as np
import soundfile

from benchmarks.benchmark import BenchSettings, benchmark
from train.run import Run


def quiet(row: str, what: str, done: int, steps: int) -> None: ...


def test_a_named_audio_file_is_what_every_row_hears_and_the_report_stands_where_it_was_wanted(
    tiny_run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 3 * 22_050), 22_050)
    settings = BenchSettings(
        audio=path, quick=True, threads=(1,), runs=1, only=("tflite-float32",), output=tmp_path / "out"
    )
    report = benchmark(tiny_run, settings, progress=quiet)
    assert report["method"]["excerpts"] == [{"file": str(path), "start_s": 0.0}]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["bench.json", "bench.md", "report.html"]


def test_quick_measures_less(tiny_run: Run, tmp_path: Path) -> None:
    settings = BenchSettings(quick=True, only=("tflite-float32",), output=tmp_path)
    method = benchmark(tiny_run, settings, progress=quiet)["method"]
    assert (method["rounds"], method["windows_per_round"]) == (5, 2)
