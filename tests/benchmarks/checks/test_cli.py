"""``tmgc-bench check``: each check prints its ratio, the machine and the versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.report import KernelRate
from benchmarks.roofline import peak_of
from edge_runtime.models import SMALL_MODEL
from train.run import Run

Bench = Callable[..., Any]

CHECKS = ("start-up", "soak", "preparing", "listening", "streamed-spectrogram", "archive", "peak")


def test_the_checks_are_listed_and_described(bench: Bench) -> None:
    listed = bench("check", "--help").output
    assert all(name in listed for name in CHECKS)
    for name in CHECKS:
        described = bench("check", name, "--help")
        assert described.exit_code == 0
        assert "--json" in described.output


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ("streamed-spectrogram", "--windows", 3, "--sample-rate", 11_025),
            [
                "recomputed",
                "streamed, after the last sample",
                "streamed, total",
                "ratio after the last sample",
                "ratio of the total",
            ],
        ),
        (
            ("listening", SMALL_MODEL, "--windows", 2, "--hop", 0.1),
            ["invoke", "memory of tmgc-listen", "last sample to prediction, less invoke", "ratio"],
        ),
        (("soak", SMALL_MODEL, "--hours", 0.05, "--threads", 1), ["audio", "memory", "ratio", "left behind"]),
        pytest.param(
            ("archive", SMALL_MODEL, "--songs", 4, "--sample", 2, "--seconds", 20, "--planned", 100, "--listed", 100),
            [
                "plain loop over songs of 20 s",
                "tmgc-tag --engine local",
                "ratio",
                "memory of a process",
                "a run with nothing to do, of 100 songs in 2 shards",
                "listing songs whose manifest is there (100 empty files)",
            ],
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_check_prints_its_ratio_the_machine_and_the_versions(
    bench: Bench, arguments: tuple[object, ...], lines: list[str]
) -> None:
    result = bench("check", *arguments)
    # so few songs are tagged more slowly than an archive
    assert result.exit_code in ({0, 1} if arguments[0] == "archive" else {0}), result.output
    *figures, machine, versions = result.stdout.splitlines()
    assert [line.split(":")[0] for line in figures] == lines
    assert "cores" in machine
    assert "numpy" in versions


def test_the_start_of_a_process_is_checked_on_a_run(bench: Bench, tiny_run: Run) -> None:
    result = bench("check", "start-up", tiny_run.folder, "--case", "tflite-int4")
    assert result.exit_code == 2
    assert "tflite-float32" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_peak_is_printed_as_json_with_the_machine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    peak = peak_of(1, [KernelRate("quick", "int8", 200.0)], [])
    monkeypatch.setattr("benchmarks.roofline.measure_peak", lambda threads: peak)
    result = bench("check", "peak", "--threads", 1, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["int8"] == {"kernel": "quick", "dtype": "int8", "gmacs_per_s": 200.0}
    assert document["machine"]["usable_cores"] >= 1


def test_without_any_kernel_the_peak_exits_with_1(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.roofline.measure_peak", lambda threads: peak_of(1, [], ["numpy: gone"]))
    result = bench("check", "peak")
    assert result.exit_code == 1
    assert "failed: numpy: gone" in result.stdout


def test_a_sample_rate_that_is_none_is_one_line(bench: Bench) -> None:
    result = bench("check", "streamed-spectrogram", "--sample-rate", 0)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "sample_rate" in result.stderr


@pytest.mark.parametrize("hop", ["nan", "inf", "0", "-1", "0.0001", "1e9"])
@pytest.mark.parametrize("check", [("listening", SMALL_MODEL), ("streamed-spectrogram",)])
def test_a_hop_that_is_none_is_one_line(bench: Bench, check: tuple[object, ...], hop: str) -> None:
    result = bench("check", *check, "--hop", hop)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "hop" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [("listening", SMALL_MODEL, "--threads", 0), ("soak", SMALL_MODEL, "--hours", "nan")]
)
def test_a_number_out_of_its_range_is_one_line(bench: Bench, arguments: tuple[object, ...]) -> None:
    result = bench("check", *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_a_missing_model_is_refused_in_one_line(bench: Bench) -> None:
    result = bench("check", "soak", "no.tflite")
    assert result.exit_code == 2
    assert "a model file must exist" in result.stderr.splitlines()[-1]


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::DeprecationWarning:audioread")
def test_preparing_is_raced_against_the_reference(bench: Bench) -> None:
    result = bench("check", "preparing", "--songs", 12, "--sample", 4)
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.stdout.splitlines()[:3]] == [
        "reference",
        "tmgc-train prepare",
        "ratio",
    ]
