import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from benchmarks.report import REPORT_SCHEMA, made_folder, pairwise_ratio, summarize
from edge_runtime.errors import TmgcError
from train.run import Run

MEASURED = ["original", "keras-predict", "keras-compiled", "tflite-float32", "tflite-dynamic", "onnx-float32"]


def rows(benched: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in benched.report["rows"]}


def test_every_row_is_reported_and_the_broken_one_says_why(benched: Any) -> None:
    assert [name for name, row in rows(benched).items() if row["ok"]] == MEASURED
    broken = rows(benched)["tflite-int8"]
    assert not broken["ok"]
    assert broken["error"]
    assert "\n" not in broken["error"]
    assert "samples_ms" not in broken


def test_an_export_that_failed_its_parity_check_is_left_out_with_a_line(benched: Any) -> None:
    assert [line for line in benched.report["left_out"] if "tiny.int8.FAILED.onnx" in line]
    assert "onnx-int8" not in rows(benched)


@pytest.mark.parametrize("name", MEASURED)
def test_a_row_keeps_as_many_raw_samples_as_the_method_says_and_its_figures_follow_from_them(
    benched: Any, name: str
) -> None:
    row, method = rows(benched)[name], benched.report["method"]
    for samples, latency in (("samples_ms", "latency_ms"), ("in_memory_samples_ms", "in_memory_latency_ms")):
        assert len(row[samples]) == method["rounds"] * row["windows_per_round"] >= 12
        assert row[latency] == summarize(row[samples])
    assert [row["threads"]] == method["threads"] == [1]
    assert row["realtime_factor"] == pytest.approx(np.mean(row["samples_ms"]) / 2000)


@pytest.mark.parametrize("name", MEASURED)
def test_the_stages_of_a_window_add_up_to_no_more_than_the_window(benched: Any, name: str) -> None:
    row = rows(benched)[name]
    total = np.sum(list(row["stage_samples_ms"].values()), axis=0)
    assert np.all(total <= np.array(row["samples_ms"]) + 1e-3)
    assert {"read", "spectrogram", "model"} <= set(row["stages_ms"])


@pytest.mark.parametrize("name", MEASURED)
def test_start_load_first_answer_and_memory_are_reported_apart(benched: Any, name: str) -> None:
    row = rows(benched)[name]
    assert row["start_ms"] > row["load_ms"] > 0
    assert row["first_answer_ms"] > 0
    assert row["peak_memory_mb"] >= row["memory_mb"] > 1


def test_the_ratios_are_what_the_raw_samples_give(benched: Any) -> None:
    measured, rounds = rows(benched), benched.report["method"]["rounds"]
    ratios = benched.report["ratios"]
    assert len(ratios) == 2 * (5 + 4)
    for ratio in ratios:
        samples = {"file": "samples_ms", "memory": "in_memory_samples_ms"}[ratio["from"]]
        slow, fast = measured[ratio["of"]][samples], measured[ratio["to"]][samples]
        expected = pairwise_ratio(slow, fast, rounds=rounds)
        assert {key: ratio[key] for key in expected} == expected


def test_a_file_is_described_by_its_size_and_its_hash(benched: Any, tiny_run: Run) -> None:
    path, row = tiny_run.exports / "tiny.float32.tflite", rows(benched)["tflite-float32"]
    assert row["file_mb"] == path.stat().st_size / 1e6
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row["runtime"].startswith("ai-edge-litert")


def test_an_exact_export_answers_as_keras_does_and_the_original_has_no_say(benched: Any) -> None:
    same = rows(benched)["tflite-float32"]["same_answer_as_keras"]
    assert same == {"same": 5, "of": 5}
    assert rows(benched)["original"]["same_answer_as_keras"] is None


def test_the_report_names_its_schema_and_every_excerpt_that_was_timed(benched: Any) -> None:
    assert benched.report["schema"] == 1
    assert len(benched.report["method"]["excerpts"]) == 5
    assert json.loads(json.dumps(benched.report)) == benched.report


def test_the_report_keeps_its_schema(benched: Any) -> None:
    jsonschema.validate(benched.report, json.loads(REPORT_SCHEMA.read_text("utf-8")))


def test_every_process_was_pinned_to_as_many_cores_as_it_has_threads(benched: Any) -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not pin")
    first = sorted(os.sched_getaffinity(0))[:1]
    assert {tuple(row["cores"]) for row in benched.report["rows"] if row["ok"]} == {tuple(first)}


def test_the_verdict_is_that_of_the_quickest_export(benched: Any) -> None:
    verdict = benched.report["verdict"]
    exports = {name: row for name, row in rows(benched).items() if row["ok"] and name.startswith(("tflite", "onnx"))}
    assert verdict["row"] == min(exports, key=lambda name: exports[name]["latency_ms"]["p50"])
    assert verdict["lines"] == rows(benched)[verdict["row"]]["verdict"]["lines"]


def test_all_rows_of_one_network_have_the_same_macs(benched: Any) -> None:
    convolution = 3 * 3 * 3 * 4 * (6 * 8)  # a filter of 3 x 3 on three colours, four of them, every fourth pixel
    dense = 4 * 3
    assert {row["roofline"]["macs"] for row in rows(benched).values() if row["ok"]} == {convolution + dense}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TmgcError, match="--output"):
        made_folder(tmp_path / "file" / "bench")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.report.os.access", lambda *question: False)  # whoever runs the test may be root
    with pytest.raises(TmgcError, match="permission denied"):
        made_folder(tmp_path)
