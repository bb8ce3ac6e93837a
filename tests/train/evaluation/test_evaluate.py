"""Judging a run: every file is written, the card learns temperature and threshold, and bad runs get one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.classifier import with_temperature
from edge_runtime.errors import TmgcError
from train.cli import main
from train.dataset.dataset import Dataset, write_dataset
from train.evaluation.calibration import fit_temperature, reliability
from train.evaluation.evaluate import Predictor, evaluate
from train.evaluation.metrics import compute_scores
from train.evaluation.results import Evaluation
from train.libraries import silence
from train.progress import Reporter

Judged = tuple[Dataset, Evaluation, Sequence[str]]
Copy = Callable[[Dataset], Dataset]
PLOTS = ("confusion", "reliability", "training", "examples")


def test_every_file_is_written(judged: Judged) -> None:
    dataset, result, _ = judged
    run = dataset.run
    assert json.loads(run.evaluation_json("test").read_text("utf-8")) == json.loads(result.to_json())
    assert run.report_html("test").name == "report.html"
    assert {path.name for path in (run.folder / "plots").iterdir()} == {f"{name}.png" for name in PLOTS}
    assert not list(run.folder.rglob(".part-*"))


def test_the_card_learns_accuracy_temperature_and_threshold(judged: Judged, small_dataset: Dataset) -> None:
    dataset, result, _ = judged
    card = dataset.run.card()
    assert card.temperature == result.calibration.temperature != 1.0
    assert card.threshold == result.unknown.threshold
    assert card.accuracy["clip_accuracy"] == result.clip_accuracy
    assert card.replace(temperature=1.0, threshold=0.0, accuracy={}) == small_dataset.run.card()


def test_the_temperature_is_that_of_the_validation_split_and_applied_once(judged: Judged) -> None:
    dataset, result, _ = judged
    predictor = Predictor(dataset)
    validation, test = dataset.of("validation"), dataset.of("test")
    raw = predictor.of_clips(test, Reporter())
    temperature = fit_temperature(predictor.of_clips(validation, Reporter()), dataset.labels(validation))
    assert result.calibration.temperature == pytest.approx(temperature, rel=1e-3)
    after = reliability(with_temperature(raw, temperature), dataset.labels(test))
    assert result.calibration.before.negative_log_likelihood == pytest.approx(
        reliability(raw, dataset.labels(test)).negative_log_likelihood, rel=1e-4
    )
    assert result.calibration.after.negative_log_likelihood == pytest.approx(after.negative_log_likelihood, rel=1e-3)
    tempered = compute_scores(
        with_temperature(raw, temperature), test, dataset.genres, split="test", demonstration=True
    )
    assert tempered.song_accuracy == result.song_accuracy


def test_another_split_has_files_of_its_own_and_leaves_the_accuracy_of_the_card(judged: Judged, copy_of: Copy) -> None:
    dataset, result, _ = judged
    copy = copy_of(dataset)
    card = copy.run.card()
    report = copy.run.report_html("test").read_bytes()
    other = evaluate(copy, "validation")
    assert copy.run.card() == card
    assert copy.run.report_html("test").read_bytes() == report
    for name in ("evaluation.validation.json", "report.validation.html", "plots/confusion.validation.png"):
        assert (copy.run.folder / name).is_file(), name
    assert other.calibration.temperature == result.calibration.temperature
    assert other.calibration.after.negative_log_likelihood <= other.calibration.before.negative_log_likelihood


def test_the_reporter_hears_of_every_phase(judged: Judged) -> None:
    _, _, phases = judged
    assert [phase.split(" on the ")[0] for phase in phases][:2] == ["judging", "judging"]
    assert any("no music" in phase for phase in phases)


def test_a_split_without_clips_is_named(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    emptied = replace(copy, clips=tuple(clip for clip in copy.clips if clip.split != "validation"))
    write_dataset(emptied)
    trained = copy.run.card().replace(training={"dataset_sha256": emptied.fingerprint()})
    copy.run.card_json.write_text(trained.to_json(), "utf-8")
    with pytest.raises(TmgcError, match="judging needs validation clips"):
        evaluate(emptied, "test")


def test_a_split_of_one_clip_can_be_judged(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    one = copy.of("test")[:1]
    few = replace(copy, clips=(*copy.of("train"), *copy.of("validation")[:1], *one))
    write_dataset(few)
    trained = copy.run.card().replace(training={"dataset_sha256": few.fingerprint()})
    copy.run.card_json.write_text(trained.to_json(), "utf-8")
    result = evaluate(few, "test")
    assert (result.clips, result.songs) == (1, 1)
    assert copy.run.report_html("test").is_file()


def test_the_command_prints_the_evaluation_on_one_screen(judged: Judged, copy_of: Copy) -> None:
    dataset, result, _ = judged
    copy = copy_of(dataset)
    done = CliRunner().invoke(main, ["evaluate", str(copy.run.folder)])
    assert done.exit_code == 0
    assert result.as_text() in done.stdout
    assert len(done.stdout.splitlines()) <= 24
    assert f"report: {copy.run.report_html('test')}" in done.stderr


def test_judging_again_prints_the_same_as_json(judged: Judged, copy_of: Copy) -> None:
    dataset, result, _ = judged
    done = CliRunner().invoke(main, ["evaluate", str(copy_of(dataset).run.folder), "--json"])
    assert json.loads(done.stdout) == json.loads(result.to_json())


def test_a_network_that_answers_with_no_numbers_is_refused_and_nothing_is_written(
    small_dataset: Dataset, copy_of: Copy
) -> None:
    import keras

    copy = copy_of(small_dataset)
    network = keras.models.load_model(copy.run.model, compile=False)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * np.nan, bias])
    with silence():
        network.save(copy.run.model)
    card = copy.run.card_json.read_bytes()
    done = CliRunner().invoke(main, ["evaluate", str(copy.run.folder)])
    assert done.exit_code == 2
    assert "a network's answers must be numbers" in done.stderr
    assert copy.run.card_json.read_bytes() == card
    assert not copy.run.evaluation_json("test").exists()
