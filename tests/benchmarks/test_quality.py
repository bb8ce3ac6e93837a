"""The accuracy of a case, from the run's parity checks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cases import EXPORT, KERAS_PREDICT, REFERENCE, Case, PipelineName
from benchmarks.quality import Parity, quality_of, read_parity
from edge_runtime.errors import TmgcError
from export.report import SCHEMA
from train.evaluation.metrics import wilson_interval
from train.run import Run

PARITY = Parity(
    "file", "litert", "network", "test", 500, 20, accuracy_file=0.75, accuracy_keras=0.8, top1_agreement=0.98
)

BY_ANOTHER_ENGINE = replace(PARITY, engine="tflite-runtime", accuracy_file=0.7, top1_agreement=0.9)


def written(run: Run, **changed: Any) -> Run:
    """The run with one report in its ``parity.json``."""
    parity = {
        "split": "test",
        "windows": 500,
        "songs": 20,
        "top1_agreement": 0.98,
        "accuracy": {"accuracy_keras": 0.8, "accuracy_file": 0.75},
        "passed": True,
        "other_engines": {
            "tflite-runtime": {
                "split": "test",
                "windows": 500,
                "songs": 20,
                "top1_agreement": 0.9,
                "accuracy": {"keras": 0.8, "file": 0.7},
            },
            "a-broken-engine": {"passed": False, "failures": ["it does not run the file"]},
        },
    }
    report = {"file": "a.int8.tflite", "sha256": "file", "keras_sha256": "network", "parity": {**parity, **changed}}
    run.parity_json.parent.mkdir(parents=True, exist_ok=True)
    run.parity_json.write_text(json.dumps({"schema": SCHEMA, "reports": [report]}), "utf-8")
    return run


def test_the_figures_come_from_parity_json(tmp_path: Path) -> None:
    assert read_parity(Run(tmp_path)) == []
    assert read_parity(written(Run(tmp_path))) == [PARITY, BY_ANOTHER_ENGINE]


def test_a_report_of_an_earlier_version_is_that_of_the_preferred_engine(tmp_path: Path) -> None:
    assert read_parity(written(Run(tmp_path), other_engines={})) == [PARITY]


def test_a_file_that_was_compared_on_songs_without_labels_has_no_figures(tmp_path: Path) -> None:
    assert read_parity(written(Run(tmp_path), accuracy=None)) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"songs": 0},
        {"songs": "20"},
        {"top1_agreement": 1.5},
        {"accuracy": {"accuracy_keras": 0.8}},
        {"accuracy": {"accuracy_keras": 0.8, "accuracy_file": float("nan")}},
    ],
)
def test_figures_that_are_missing_or_impossible_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(TmgcError, match="must hold parity reports"):
        read_parity(written(Run(tmp_path), **changed))


def quality(pipeline: PipelineName, sha256: str, engine: str | None = None) -> Any:
    case = Case(pipeline, pipeline, Path("a.int8.tflite"), Path("card.json"), engine=engine)
    return quality_of(case, sha256, [PARITY, BY_ANOTHER_ENGINE])


def test_a_file_has_the_accuracy_of_its_parity_check_with_a_song_as_one_trial() -> None:
    found = quality(EXPORT, "file", "litert")
    assert (found.split, found.windows, found.songs) == ("test", 500, 20)
    assert (found.accuracy.value, found.agreement.value) == (0.75, 0.98)
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(wilson_interval(15, 20))


def test_keras_has_its_own_accuracy_on_the_same_windows_and_no_agreement() -> None:
    found = quality(KERAS_PREDICT, "network")
    assert found.accuracy.value == 0.8
    assert found.agreement is None


def test_another_engine_has_the_accuracy_of_its_own_check() -> None:
    found = quality(EXPORT, "file", "tflite-runtime")
    assert (found.accuracy.value, found.agreement.value) == (0.7, 0.9)


@pytest.mark.parametrize(
    ("pipeline", "sha256", "engine"),
    [(EXPORT, "another", "litert"), (REFERENCE, "network", None), (EXPORT, "file", "tensorflow")],
)
def test_what_the_parity_check_did_not_run_has_no_accuracy(
    pipeline: PipelineName, sha256: str, engine: str | None
) -> None:
    assert quality(pipeline, sha256, engine) is None


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9972, 1.0])
def test_an_interval_holds_its_accuracy_also_where_windows_of_one_song_differ(share: float) -> None:
    parity = replace(PARITY, songs=30, accuracy_keras=share, accuracy_file=share)
    case = Case(EXPORT, EXPORT, Path("a.int8.tflite"), Path("card.json"), engine="litert")
    found = quality_of(case, "file", [parity])
    assert found is not None
    assert 0 <= found.accuracy.low <= share <= found.accuracy.high <= 1
