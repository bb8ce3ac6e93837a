import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.models import accuracy_of, find_models, teacher_of
from benchmarks.models_report import Accuracy, ModelReport, ModelsReport, TeacherDifference, models_markdown
from benchmarks.statistics import Latency
from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from edge_runtime.models import SMALL_MODEL
from export.metadata import write_with_card
from train.run import Run

from .test_cli import Bench, one_line

SCORES = {"split": "test", "clips": 5, "songs": 5, "clip_accuracy": 0.8, "clip_accuracy_ci": [0.6, 1.0]}


@pytest.fixture(scope="module")
def measured(tiny_run: Run, bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """An evaluated run that was measured beside the packaged model, and what the command printed."""
    run = Run(tmp_path_factory.mktemp("models") / "tiny")
    shutil.copytree(tiny_run.folder, run.folder)
    run.card_json.write_text(replace(run.card(), accuracy=SCORES).to_json(), "utf-8")
    result = bench("models", run.folder, SMALL_MODEL, "--quick", "--windows", 5, "--only", "tflite-float32")
    assert result.exit_code == 0, result.output
    return run, result.stdout


@pytest.fixture
def models_report(measured: tuple[Run, str]) -> ModelsReport:
    return ModelsReport.read(measured[0].bench / "models.json")


def test_the_fastest_model_of_the_first_run_is_what_the_others_are_compared_with(models_report: ModelsReport) -> None:
    assert [model.name for model in models_report.models] == ["tiny tflite-float32", "small.int8.tflite"]
    assert models_report.baseline == "tiny tflite-float32"
    assert models_report.models[0].times_as_fast.median == 1.0


def test_what_a_model_is_stands_beside_what_was_measured_of_it(models_report: ModelsReport) -> None:
    ours, packaged = models_report.models
    assert ours.accuracy is not None
    assert (ours.accuracy.value, ours.accuracy.low, ours.accuracy.high) == (0.8, 0.6, 1.0)
    assert packaged.architecture == "mobilenet_v2"
    assert packaged.image == (224, 224, 3)
    assert packaged.listening_mb is not None
    assert 30 < packaged.listening_mb < 150


def test_terminal_markdown_and_page_show_the_tables_and_the_page_the_plot(measured: tuple[Run, str]) -> None:
    run, printed = measured
    markdown, html = ((run.bench / name).read_text("utf-8") for name in ("models.md", "models.html"))
    for text in (printed, markdown, html):
        assert "80.0 (60-100)" in text
        assert "mobilenet_v2" in text
        assert "Pareto front" in text
    assert "data:image/png" in html


def test_a_student_is_shown_with_its_difference_to_its_teacher(models_report: ModelsReport) -> None:
    teacher = TeacherDifference("big", -0.004, -0.012, 0.003, "as good")
    student = replace(models_report.models[0], teacher=teacher)
    text = models_markdown(replace(models_report, models=(student,)))
    assert "| tiny tflite-float32 | big | -0.4 (-1.2 to +0.3) | as good |" in text


def test_the_front_leaves_out_what_is_slower_and_no_more_accurate(models_report: ModelsReport) -> None:
    def model(name: str, milliseconds: float, accuracy: float | None) -> ModelReport:
        case = replace(models_report.models[0].case, name=name, from_file=Latency.of([milliseconds]))
        found = None if accuracy is None else Accuracy("test", 5, 5, accuracy, 0.0, 1.0)
        return replace(models_report.models[0], case=case, accuracy=found)

    models = (
        model("slow and worse", 9, 0.8),
        model("slow and better", 8, 0.95),
        model("fast", 1, 0.9),
        model("as fast and worse", 1, 0.7),
        model("unknown", 0.5, None),
    )
    front = replace(models_report, models=models).pareto_front()
    assert [each.name for each in front] == ["fast", "slow and better"]


def test_a_cross_validation_has_the_accuracy_of_all_folds(tmp_path: Path, tiny_run: Run) -> None:
    folder = tmp_path / "folds"
    shutil.copytree(tiny_run.folder, folder / "fold-1")
    methods = [{"name": "svm", "scores": {**SCORES, "clip_accuracy": 0.7}}, {"name": "network", "scores": SCORES}]
    teacher = {"name": "big", "clip_difference": -0.01, "clip_difference_ci": [-0.02, 0.0], "verdict": "as good"}
    document = {"schema": 1, "methods": methods, "teacher": teacher}
    (folder / "cross-validation.json").write_text(json.dumps(document))
    ((model,), _) = find_models([folder], ["tflite-float32"])
    assert model.case.name == "folds tflite-float32"
    assert accuracy_of(model.scores) == Accuracy("folds", 5, 5, 0.8, 0.6, 1.0)
    assert teacher_of(model.scores) == TeacherDifference("big", -0.01, -0.02, 0.0, "as good")


def test_a_run_that_was_not_evaluated_has_no_accuracy(tiny_run: Run) -> None:
    ((model, *_), _) = find_models([tiny_run.folder])
    assert accuracy_of(model.scores) is None
    assert teacher_of(model.scores) is None


def test_runs_of_the_same_name_are_told_apart_by_their_paths(light_run: Run, tiny_run: Run) -> None:
    models, _ = find_models([light_run.folder, tiny_run.folder, tiny_run.folder], ["tflite-float32"])
    assert [model.case.name for model in models] == [f"{run.folder} tflite-float32" for run in (light_run, tiny_run)]


def test_exports_that_failed_parity_are_left_out_with_a_line(tiny_run: Run) -> None:
    assert any("failed its parity check" in line for line in find_models([tiny_run.folder])[1])


def test_a_file_that_failed_parity_is_refused(tiny_card: ModelCard, tmp_path: Path) -> None:
    failed = replace(tiny_card, export={"format": "tflite", "recipe": "int8", "parity": {"passed": False}})
    (tmp_path / "graph.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    write_with_card(tmp_path / "graph.tflite", failed, tmp_path / "bad.tflite")
    with pytest.raises(TmgcError, match="parity"):
        find_models([tmp_path / "bad.tflite"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere", "a run folder must exist"), ("empty", "tmgc-train fit"), ("file.txt", "must exist")],
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
