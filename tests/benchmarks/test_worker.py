import io
import json
from typing import Any

import pytest

from benchmarks.cases import rows_of
from benchmarks.inputs import excerpts_of_run
from benchmarks.worker import peak_mb, resident_mb, serve
from train.run import Run


def replies(*commands: dict[str, Any]) -> list[dict[str, Any]]:
    told = io.StringIO()
    serve(io.StringIO("".join(json.dumps(command) + "\n" for command in commands)), told)
    return [json.loads(line) for line in told.getvalue().splitlines()]


def load(run: Run, name: str) -> dict[str, Any]:
    row = next(row for row in rows_of(run)[0] if row.name == name)
    excerpts = [excerpt.to_json() for excerpt in excerpts_of_run(run)]
    return {"do": "load", "row": row.to_json(), "threads": 1, "excerpts": excerpts}


def measure(source: str, first: int, count: int) -> dict[str, Any]:
    return {"do": "measure", "source": source, "first": first, "count": count, "load": {"scenario": "single"}}


def test_a_row_loads_and_then_measures_windows_round_and_round(tiny_run: Run) -> None:
    loaded, measured = replies(load(tiny_run, "tflite-float32"), measure("file", 3, 4))
    assert loaded["load_ms"] > 0
    assert [window["excerpt"] for window in measured["windows"]] == [3, 4, 0, 1]
    assert all(
        set(window["stages_ms"]) == {"read", "spectrogram", "model", "decision"} for window in measured["windows"]
    )


def test_from_memory_the_answers_are_the_same_and_nothing_is_read(tiny_run: Run) -> None:
    _, files, memory = replies(load(tiny_run, "tflite-float32"), measure("file", 0, 5), measure("memory", 0, 5))
    assert [window["genre"] for window in files["windows"]] == [window["genre"] for window in memory["windows"]]
    assert all(window["stages_ms"]["read"] < 0.5 for window in memory["windows"])


def test_a_file_is_read_again_for_every_window(tiny_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.pipelines import ExportPipeline

    read, excerpts = ExportPipeline.read, []

    def counting(self: ExportPipeline, excerpt: Any) -> Any:
        excerpts.append(excerpt)
        return read(self, excerpt)

    monkeypatch.setattr(ExportPipeline, "read", counting)
    replies(load(tiny_run, "tflite-float32"), measure("file", 0, 7), measure("memory", 0, 7))
    assert len(excerpts) == 7 + 5


def test_a_model_that_cannot_be_loaded_is_an_error_in_one_line(tiny_run: Run) -> None:
    (reply,) = replies(load(tiny_run, "tflite-int8"))
    assert "tiny.int8.tflite" in reply["error"]
    assert "\n" not in reply["error"]


def test_a_missing_library_names_the_extra_that_brings_it(tiny_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "librosa", None)
    (reply,) = replies(load(tiny_run, "original"))
    assert "pip install 'tmgc[bench]'" in reply["error"]


def test_an_unexpected_error_is_told_and_the_process_goes_on(tiny_run: Run) -> None:
    broken, memory = replies(measure("file", 0, 1), {"do": "memory"})
    assert broken["error"].startswith("ZeroDivisionError: ")
    assert memory["peak_memory_mb"] > 1


def test_the_peak_is_at_least_what_is_resident() -> None:
    assert peak_mb() >= resident_mb() > 1
