"""A whole benchmark of a tiny run, from its exports to the files of the report."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

from benchmarks.benchmark import BenchConfig, benchmark, writable_folder, write_report
from benchmarks.inputs import Excerpt
from benchmarks.render import markdown
from benchmarks.report import REPORT_SCHEMA, SOURCES, CaseReport, KerasAgreement, Report
from benchmarks.statistics import Latency
from edge_runtime.errors import TmgcError
from export.metadata import graph_facts
from export.report import SCHEMA
from train.run import Run

EXPORTS = ["tflite-float32", "tflite-dynamic", "onnx-float32"]


@pytest.fixture(params=["benched", pytest.param("benched_with_keras", marks=pytest.mark.full)])
def result(request: pytest.FixtureRequest) -> Any:
    """A benchmark of exports alone, and one of cases of every kind, which takes longer."""
    return request.getfixturevalue(request.param)


def case_of(result: Any, name: str) -> CaseReport:
    report: Report = result.report
    return next(case for case in report.cases if case.name == name)


def quiet(case: str, step: str, done: int, steps: int) -> None: ...


def test_every_case_is_reported_and_the_broken_one_says_why(benched: Any) -> None:
    assert [case.name for case in benched.report.cases] == EXPORTS
    (broken,) = benched.report.failures
    assert (broken.name, broken.threads) == ("tflite-int8", 1)
    assert broken.error
    assert "\n" not in broken.error


def test_an_export_that_failed_its_parity_check_is_left_out_with_a_line(result: Any) -> None:
    assert [line for line in result.report.left_out if "tiny.int8.FAILED.onnx" in line]


def test_a_case_keeps_as_many_raw_samples_as_the_method_says_and_its_figures_follow_from_them(result: Any) -> None:
    method = result.report.method
    assert method.threads == (1,)
    for case in result.report.cases:
        for latency in map(case.latency, SOURCES):
            assert len(latency.samples_ms) == method.rounds * case.windows_per_round >= 12
            assert latency == Latency.of(latency.samples_ms)
        assert case.realtime_factor == pytest.approx(np.mean(case.from_file.samples_ms) / 2000)
        assert case.windows_per_s == pytest.approx(1000 / np.mean(case.from_file.samples_ms))


def test_the_stages_of_a_window_add_up_to_no_more_than_the_window(result: Any) -> None:
    for case in result.report.cases:
        total = np.sum([stage.samples_ms for stage in case.stages.values()], axis=0)
        assert np.all(total <= np.array(case.from_file.samples_ms) + 1e-3)
        assert {"read", "spectrogram", "model"} <= set(case.stages)


def test_start_load_first_prediction_and_memory_are_reported_apart(result: Any) -> None:
    for case in result.report.cases:
        assert case.start_ms > case.load_ms > 0
        assert case.first_prediction_ms > 0
        assert case.peak_memory_mb >= case.memory_mb > 1


def test_a_file_is_described_by_its_size_its_hash_and_its_card(result: Any) -> None:
    path, case = result.run.exports / "tiny.float32.tflite", case_of(result, "tflite-float32")
    assert case.file_mb == path.stat().st_size / 1e6
    assert case.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert case.engine == "litert"
    assert case.runtime.startswith("ai-edge-litert")
    assert (case.pipeline, case.format, case.recipe, case.input_kind) == ("export", "tflite", "float32", "image")


def test_the_report_names_every_excerpt_that_was_timed(result: Any) -> None:
    assert len(result.report.method.excerpts) == 5


def test_the_file_follows_the_schema(result: Any) -> None:
    document = json.loads((result.run.bench / "bench.json").read_text("utf-8"))
    jsonschema.validate(document, json.loads(REPORT_SCHEMA.read_text("utf-8")))


def test_the_other_files_are_those_of_the_report(result: Any) -> None:
    assert result.markdown == markdown(result.report) + "\n"
    assert "tflite-int8 failed" in result.html
    assert result.html.count("data:image/png;base64,") >= 2


def test_every_process_was_pinned_to_as_many_cores_as_it_has_threads(result: Any) -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not pin")
    first = sorted(os.sched_getaffinity(0))[:1]
    assert {case.cores for case in result.report.cases} == {tuple(first)}


def test_an_onnx_file_has_the_macs_of_a_tflite_file_of_the_same_network(benched: Any) -> None:
    macs = {case.roofline.macs for case in benched.report.cases}
    assert len(macs) == 1
    assert macs.pop() > 1e6


@pytest.mark.full
class TestWithKeras:
    """The reference and Keras beside the exports of the same network."""

    def test_cases_of_every_kind_are_measured(self, benched_with_keras: Any) -> None:
        names = [case.name for case in benched_with_keras.report.cases]
        assert names == ["reference", "keras-predict", "keras-compiled", *EXPORTS]

    def test_the_ratios_are_what_the_raw_samples_give(self, benched_with_keras: Any) -> None:
        report = benched_with_keras.report
        rounds = report.method.rounds
        assert len(report.speedups) == 2 * (5 + 4)
        for speedup in report.speedups:
            slow, fast = (
                np.reshape(case_of(benched_with_keras, name).latency(speedup.source).samples_ms, (rounds, -1))
                for name in (speedup.baseline, speedup.case)
            )
            ratios = np.median(slow, axis=1) / np.median(fast, axis=1)
            assert speedup.ratio.median == pytest.approx(np.median(ratios))

    def test_an_exact_export_predicts_as_keras_does_and_the_reference_is_not_compared(
        self, benched_with_keras: Any
    ) -> None:
        assert case_of(benched_with_keras, "tflite-float32").same_as_keras == KerasAgreement(5, 5)
        assert case_of(benched_with_keras, "keras-compiled").same_as_keras == KerasAgreement(5, 5)
        assert case_of(benched_with_keras, "reference").same_as_keras is None

    def test_all_cases_of_one_network_have_the_same_macs(self, benched_with_keras: Any) -> None:
        convolution = 3 * 3 * 3 * 4 * (6 * 8)  # a filter of 3 x 3 on three colours, four of them, every fourth pixel
        dense = 4 * 3
        assert {case.roofline.macs for case in benched_with_keras.report.cases} == {convolution + dense}


def test_a_named_audio_file_is_timed_and_the_report_stands_where_it_was_wanted(tiny_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 3 * 22_050), 22_050)
    config = BenchConfig(
        audio=path,
        quick=True,
        threads=(1,),
        runs=1,
        only=("tflite-float32",),
        sustain_minutes=0,
        output=tmp_path / "out",
    )
    report = benchmark(tiny_run, config, progress=quiet)
    assert report.method.excerpts == (Excerpt(path, 0.0),)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["bench.json", "bench.md", "report.html"]


def test_a_page_that_cannot_be_drawn_leaves_the_measurement(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(report: Report) -> Any:
        raise RuntimeError("no font")

    monkeypatch.setattr("benchmarks.benchmark.plots_of", fail)
    with pytest.raises(RuntimeError, match="no font"):
        write_report(report, tmp_path)
    assert Report.read(tmp_path / "bench.json") == report


def test_a_file_name_that_is_not_utf_8_can_be_written_and_read(report: Report, tmp_path: Path) -> None:
    named = replace(report, cases=(replace(report.cases[0], file="exports/t\udcfcrk.int8.tflite"),))
    write_report(named, tmp_path)
    assert Report.read(tmp_path / "bench.json") == named
    assert "t\\udcfcrk" in (tmp_path / "report.html").read_text("utf-8")


def test_quick_measures_less() -> None:
    (plan,) = BenchConfig(quick=True, threads=(1,)).plans()
    assert (plan.rounds, plan.windows_per_round, plan.min_seconds, plan.loading_at_once) == (5, 2, 0.0, 2)
    (whole,) = BenchConfig(threads=(1,)).plans()
    assert (whole.rounds, whole.windows_per_round, whole.min_seconds, whole.loading_at_once) == (10, 5, 5.0, 1)


def test_threads_that_there_are_no_cores_for_are_refused() -> None:
    with pytest.raises(TmgcError, match="got 999"):
        BenchConfig(threads=(1, 999)).plans()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TmgcError, match="--output"):
        writable_folder(tmp_path / "file" / "bench")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.benchmark.os.access", lambda *question: False)  # root may write anywhere
    with pytest.raises(TmgcError, match="permission denied"):
        writable_folder(tmp_path)


def test_each_tflite_file_is_read_for_its_macs_once(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counting(model: Path) -> Any:
        read.append(model.name)
        return graph_facts(model)

    monkeypatch.setattr("benchmarks.benchmark.graph_facts", counting)
    only = ("tflite-float32", "onnx-float32")
    config = BenchConfig(quick=True, threads=(1,), runs=1, only=only, output=tmp_path)
    report = benchmark(tiny_run, config, progress=quiet)
    assert read == ["tiny.float32.tflite"]
    assert all(case.roofline for case in report.cases)


def test_an_odd_parity_json_is_refused_before_anything_is_measured(light_run: Run) -> None:
    parity = {"split": "test", "windows": 5}
    report = {"file": "a.tflite", "sha256": "a", "keras_sha256": "b", "parity": parity}
    light_run.parity_json.write_text(json.dumps({"schema": SCHEMA, "reports": [report]}))
    started: list[str] = []
    config = BenchConfig(quick=True, threads=(1,), runs=1, only=("tflite-float32",))
    with pytest.raises(TmgcError, match=r"parity\.json must hold parity reports .* --force"):
        benchmark(light_run, config, progress=lambda case, step, done, steps: started.append(case))
    assert not started
