import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.models import find_models
from benchmarks.models_report import ModelsReport
from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from edge_runtime.models import SMALL_MODEL
from export.metadata import write_with_card
from train.run import Run

from .test_cli import Bench, one_line

SCORES = {"split": "test", "clips": 5, "songs": 5, "clip_accuracy": 0.8, "clip_accuracy_ci": [0.6, 1.0]}


@pytest.fixture
def evaluated_run(light_run: Run) -> Run:
    """A run that was evaluated, without exports that cannot be run."""
    light_run.card_json.write_text(replace(light_run.card(), accuracy=SCORES).to_json(), "utf-8")
    (light_run.exports / "tiny.int8.tflite").unlink()
    return light_run


def test_two_runs_are_measured_in_turn_and_the_fastest_model_of_the_first_is_the_baseline(
    bench: Bench, evaluated_run: Run, tmp_path: Path
) -> None:
    result = bench("models", evaluated_run.folder, SMALL_MODEL, "--quick", "--windows", 5, "--only", "tflite-float32")
    assert result.exit_code == 0, result.output
    report = ModelsReport.read(evaluated_run.bench / "models.json")
    assert [model.name for model in report.models] == ["tiny tflite-float32", "small.float16.tflite"]
    assert report.baseline == "tiny tflite-float32"
    assert report.models[0].times_as_fast.median == 1.0
    ours, packaged = report.models
    assert ours.accuracy is not None
    assert (ours.accuracy.value, ours.accuracy.low, ours.accuracy.high) == (0.8, 0.6, 1.0)
    assert packaged.architecture == "mobilenet_v3_small"
    assert packaged.image == (224, 224, 3)
    assert packaged.listening_mb is not None
    assert 30 < packaged.listening_mb < 150
    assert "80.0 (60-100)" in result.stdout
    html = (evaluated_run.bench / "models.html").read_text("utf-8")
    assert "Pareto front" in html
    assert "data:image/png" in html
    assert "mobilenet_v3_small" in (evaluated_run.bench / "models.md").read_text("utf-8")


def test_the_front_leaves_out_what_is_slower_and_no_more_accurate(
    bench: Bench, evaluated_run: Run, tmp_path: Path
) -> None:
    options = ("--quick", "--windows", 5, "--json", "--output", tmp_path / "report")
    result = bench("models", evaluated_run.folder, *options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["schema"] == 1
    report = ModelsReport.read(tmp_path / "report" / "models.json")
    assert len(report.models) == 3
    by_latency = sorted(report.models, key=lambda model: model.case.from_file.p50_ms)
    assert report.pareto_front() == by_latency[:1]


def test_a_cross_validation_has_the_accuracy_of_all_folds(tmp_path: Path, tiny_run: Run) -> None:
    folder = tmp_path / "folds"
    shutil.copytree(tiny_run.folder, folder / "fold-1")
    methods = [{"name": "svm", "scores": {**SCORES, "clip_accuracy": 0.7}}, {"name": "network", "scores": SCORES}]
    (folder / "cross-validation.json").write_text(json.dumps({"schema": 1, "methods": methods}))
    models, _ = find_models([folder], ["tflite-float32"])
    assert [model.case.name for model in models] == ["folds tflite-float32"]
    assert models[0].accuracy is not None
    assert (models[0].accuracy.split, models[0].accuracy.value) == ("folds", 0.8)


def test_runs_of_the_same_name_are_told_apart_by_their_paths(light_run: Run, tiny_run: Run) -> None:
    models, _ = find_models([light_run.folder, tiny_run.folder, tiny_run.folder], ["tflite-float32"])
    assert [model.case.name for model in models] == [f"{run.folder} tflite-float32" for run in (light_run, tiny_run)]


def test_exports_that_failed_parity_are_left_out_with_a_line(tiny_run: Run) -> None:
    assert any("failed its parity check" in line for line in find_models([tiny_run.folder])[1])


def test_a_file_that_failed_parity_is_refused(tiny_card: ModelCard, tmp_path: Path) -> None:
    parity = {"format": "tflite", "recipe": "int8", "parity": {"passed": False}}
    write_with_card(SMALL_MODEL, replace(tiny_card, export=parity), tmp_path / "bad.tflite")
    with pytest.raises(TmgcError, match="parity"):
        find_models([tmp_path / "bad.tflite"])


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere", "a run folder must exist"), ("empty", "is needed"), ("file.txt", "must exist")]
)
def test_what_is_no_run_is_refused_in_one_line(bench: Bench, tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    assert reason in one_line(bench("models", tmp_path / name))


def test_a_run_without_exports_is_refused_with_the_command_that_makes_them(bench: Bench, light_run: Run) -> None:
    for path in light_run.exports.iterdir():
        path.unlink()
    assert "tmgc-export" in one_line(bench("models", light_run.folder))


def test_a_cross_validation_without_exports_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cross-validation.json").write_text("{}")
    with pytest.raises(TmgcError, match="fold-1"):
        find_models([tmp_path])
