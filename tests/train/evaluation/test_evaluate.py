"""An evaluation predicts with the run's network, writes every file and updates the card under the run's lock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest

from edge_runtime.classifier import with_temperature
from edge_runtime.errors import TmgcError
from train.dataset.dataset import Dataset, write_dataset
from train.evaluation.calibration import fit_temperature, reliability
from train.evaluation.evaluate import Predictor, evaluate
from train.evaluation.metrics import compute_scores, rows_of_groups
from train.evaluation.results import Evaluation
from train.evaluation.robustness import DEGRADATIONS
from train.libraries import silence
from train.progress import Reporter
from train.run import PLOTS, Run

Evaluated = tuple[Dataset, Evaluation, Sequence[str]]
Copy = Callable[[Dataset], Dataset]


def test_every_file_is_written(evaluated: Evaluated) -> None:
    dataset, result, _ = evaluated
    run = dataset.run
    assert json.loads(run.evaluation_json("test").read_text("utf-8")) == json.loads(result.to_json())
    assert run.report_html("test").name == "report.html"
    assert {path.name for path in (run.folder / "plots").iterdir()} == {f"{name}.png" for name in PLOTS}
    assert not list(run.folder.rglob(".part-*"))


def test_the_card_gets_accuracy_temperature_threshold_and_pooling(evaluated: Evaluated, small_dataset: Dataset) -> None:
    dataset, result, _ = evaluated
    card = dataset.run.card()
    assert card.temperature == result.calibration.fit.temperature != 1.0
    assert card.threshold == result.rejection.threshold
    assert card.accuracy["clip_accuracy"] == result.clip_accuracy
    choice = result.song_answers.choice
    assert (card.pooling, card.smoothing_seconds) == (choice.pooling, choice.smoothing_seconds)
    before = small_dataset.run.card()
    kept = {"pooling": before.pooling, "smoothing_seconds": before.smoothing_seconds}
    assert card.replace(temperature=1.0, threshold=0.0, accuracy={}, **kept) == before


def test_exported_files_with_an_earlier_temperature_are_pointed_out(
    small_dataset: Dataset, copy_of: Copy, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copy_of(small_dataset)
    copy.run.exports.mkdir()
    (copy.run.exports / "small.int8.tflite").touch()
    evaluate(copy, "validation")
    assert sum("earlier temperature, threshold" in message for message in caplog.messages) == 1


def test_the_temperature_is_that_of_the_validation_split_and_applied_once(evaluated: Evaluated) -> None:
    dataset, result, _ = evaluated
    predictor = Predictor(dataset)
    validation, test = dataset.of("validation"), dataset.of("test")
    raw = predictor.predict_clips(test, Reporter())
    groups = rows_of_groups(validation)
    labels = dataset.labels(validation)
    temperature = fit_temperature(predictor.predict_clips(validation, Reporter()), labels, groups).temperature
    assert result.calibration.fit.temperature == pytest.approx(temperature, rel=1e-3)
    after = reliability(with_temperature(raw, temperature), dataset.labels(test))
    assert result.calibration.before.negative_log_likelihood == pytest.approx(
        reliability(raw, dataset.labels(test)).negative_log_likelihood, rel=1e-4
    )
    assert result.calibration.after.negative_log_likelihood == pytest.approx(after.negative_log_likelihood, rel=1e-3)
    scaled = compute_scores(with_temperature(raw, temperature), test, dataset.genres, split="test", demonstration=True)
    assert scaled.song_accuracy == result.song_accuracy


@pytest.mark.full
def test_after_a_refit_the_temperature_is_that_of_the_network_that_had_not_been_trained_on_these_clips(
    small_dataset: Dataset, copy_of: Copy
) -> None:
    dataset = copy_of(small_dataset)
    run, card, labels = dataset.run, dataset.run.card(), dataset.labels(dataset.of("validation"))
    run.card_json.write_text(card.replace(training={**card.training, "refit_epochs": 3}).to_json(), "utf-8")
    with pytest.raises(TmgcError, match=r"validation_probabilities\.npy, which cannot be used .* tmgc-train fit"):
        evaluate(dataset, "test")
    unsure = np.full((len(labels), len(dataset.genres)), 0.3, np.float32)
    unsure[np.arange(len(labels)), labels] = 0.4
    np.save(run.validation_probabilities, unsure)
    temperature = fit_temperature(unsure, labels, rows_of_groups(dataset.of("validation"))).temperature
    assert evaluate(dataset, "test").calibration.fit.temperature == pytest.approx(temperature)
    assert evaluate(dataset, "validation").clip_accuracy == 1.0
    with pytest.raises(TmgcError, match="after a refit it knows the validation songs"):
        evaluate(dataset, "validation", robustness=True)
    np.save(run.validation_probabilities, unsure[1:])
    with pytest.raises(TmgcError, match="its shape is"):
        evaluate(dataset, "test")


def test_another_split_has_its_own_files_and_leaves_the_card_alone(
    evaluated: Evaluated, copy_of: Copy, caplog: pytest.LogCaptureFixture
) -> None:
    dataset, result, _ = evaluated
    copy = copy_of(dataset)
    copy.run.exports.mkdir()
    (copy.run.exports / "small.int8.tflite").touch()
    card = copy.run.card()
    report = copy.run.report_html("test").read_bytes()
    other = evaluate(copy, "validation")
    assert not any("earlier temperature, threshold" in message for message in caplog.messages)
    assert copy.run.card() == card
    assert copy.run.report_html("test").read_bytes() == report
    for name in ("evaluation.validation.json", "report.validation.html", "plots/confusion.validation.png"):
        assert (copy.run.folder / name).is_file(), name
    assert other.calibration.fit.temperature == result.calibration.fit.temperature
    assert other.calibration.after.negative_log_likelihood <= other.calibration.before.negative_log_likelihood


def test_every_phase_is_reported_and_the_run_is_locked_until_the_last_file_is_written(evaluated: Evaluated) -> None:
    _, _, phases = evaluated
    assert phases[:2] == ["predicting the test split", "predicting the validation split"]
    assert any("out-of-distribution" in phase for phase in phases)
    assert phases[-1] == "writing the report"


def test_a_split_without_clips_is_named(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    emptied = replace(copy, clips=tuple(clip for clip in copy.clips if clip.split != "validation"))
    write_dataset(emptied)
    trained = copy.run.card().replace(training={"dataset_sha256": emptied.fingerprint()})
    copy.run.card_json.write_text(trained.to_json(), "utf-8")
    with pytest.raises(TmgcError, match="an evaluation needs validation clips"):
        evaluate(emptied, "test")


def test_a_split_of_one_clip_can_be_evaluated(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    one = copy.of("test")[:1]
    few = replace(copy, clips=(*copy.of("train"), *copy.of("validation")[:1], *one))
    write_dataset(few)
    trained = copy.run.card().replace(training={"dataset_sha256": few.fingerprint()})
    copy.run.card_json.write_text(trained.to_json(), "utf-8")
    result = evaluate(few, "test")
    assert (result.clips, result.songs) == (1, 1)
    assert copy.run.report_html("test").is_file()


def test_a_network_that_returns_nan_is_refused_and_nothing_is_written(small_dataset: Dataset, copy_of: Copy) -> None:
    import keras

    copy = copy_of(small_dataset)
    network = keras.models.load_model(copy.run.model, compile=False)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * np.nan, bias])
    with silence():
        network.save(copy.run.model)
    card = copy.run.card_json.read_bytes()
    with pytest.raises(TmgcError, match="predictions must be finite"):
        evaluate(copy, "test")
    assert copy.run.card_json.read_bytes() == card
    assert not copy.run.evaluation_json("test").exists()


def test_the_card_is_read_and_written_under_the_lock_of_the_run(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    card = copy.run.card_json.read_bytes()
    with copy.run.lock(), pytest.raises(TmgcError, match="one command at a time changes a run"):
        evaluate(copy, "test")
    assert copy.run.card_json.read_bytes() == card
    assert not copy.run.evaluation_json("test").exists()


@pytest.mark.full
def test_robustness_and_the_baseline_are_part_of_the_evaluation_where_they_are_requested(
    small_dataset: Dataset, copy_of: Callable[[Dataset], Dataset]
) -> None:
    found = evaluate(copy_of(small_dataset), "test", robustness=True, baseline=True)
    assert [row.name for row in found.robustness] == [kind.name for kind in DEGRADATIONS]
    assert found.robustness[0].clip_accuracy == pytest.approx(found.clip_accuracy)
    (baseline,) = found.baselines
    document = json.loads(found.to_json())
    assert len(document["robustness"]) == len(DEGRADATIONS)
    assert document["baselines"][0]["verdict"] == baseline.verdict
    assert baseline.verdict in found.as_text()


@pytest.mark.full
def test_a_run_is_compared_with_its_teacher_on_the_same_test_songs(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    found = evaluate(copy, "test", compare_with=small_dataset)
    assert found.teacher
    assert (found.teacher.name, found.teacher.clips) == ("small", found.clips)
    assert (found.teacher.clip_difference, found.teacher.verdict) == (0, "as good")
    assert found.teacher.as_text() in found.as_text()
    assert copy.run.card().accuracy["teacher"]["clip_accuracy"] == found.clip_accuracy
    for other in (replace(small_dataset, genres=small_dataset.genres[::-1]), replace(small_dataset, clips=())):
        fingerprint = {"dataset_sha256": other.fingerprint()}
        run = Run(copy.run.folder.parent / other.fingerprint()[:8])
        run.folder.mkdir()
        run.card_json.write_text(small_dataset.run.card().replace(training=fingerprint).to_json(), "utf-8")
        with pytest.raises(TmgcError, match="compared on the same genres and test songs"):
            evaluate(copy, "test", compare_with=replace(other, run=run))


def test_clips_are_predicted_in_their_order_and_each_is_a_step(small_dataset: Dataset) -> None:
    steps = []

    class Counting(Reporter):
        def step(self, values: object) -> None:
            steps.append(values)

    predictor, clips = Predictor(small_dataset, batch_size=7), small_dataset.of("train")
    found = predictor.predict_clips(clips, Counting())
    assert found.shape == (len(clips), 10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(found[3:5], predictor([small_dataset.samples(clip) for clip in clips[3:5]]), atol=1e-3)
    assert len(steps) == len(clips)
    assert (found.argmax(axis=1) == small_dataset.labels(clips)).mean() > 0.5, "it has learned something"


def test_a_file_that_is_no_model_is_refused(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    with ZipFile(copy.run.model, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(TmgcError, match="cannot be read"):
        Predictor(copy)


@pytest.mark.parametrize(("shape", "genres"), [((16, 24, 3), 10), ((32, 24, 3), 4)])
def test_a_network_for_other_images_or_genres_is_refused(
    shape: tuple[int, int, int], genres: int, small_dataset: Dataset, copy_of: Copy
) -> None:
    import keras

    copy = copy_of(small_dataset)
    layers = [keras.Input(shape, dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(genres)]
    with silence():
        keras.Sequential(layers).save(copy.run.model)
    with pytest.raises(TmgcError, match="tmgc-train fit"):
        Predictor(copy)


def test_importing_the_evaluation_imports_no_heavy_library() -> None:
    heavy = {"keras", "tensorflow", "matplotlib", "librosa", "scipy", "sklearn", "jinja2", "PIL"}
    code = f"import sys, train.evaluation, train.evaluation.sample_rates; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
