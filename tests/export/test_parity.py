from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export import onnx, tflite
from export.metadata import write_with_card
from export.parity import ParityReport, card_differences, compare, hard_answers, mean_kl
from export.recipes import FLOAT32, FORMATS, INT8, RECIPES, Target
from train.libraries import silence

TFLITE, ONNX = FORMATS["tflite"], FORMATS["onnx"]
TARGETS = [Target(format_, recipe) for format_ in FORMATS.values() for recipe in format_.recipes]


def _close(n: int, first: float, second: float) -> NDArray[np.float32]:
    return np.tile(np.array([first, second, 1 - first - second, 0.0], np.float32), (n, 1))


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_sound_export_is_within_its_tolerances(target: Target, bench: Any, tmp_path: Path) -> None:
    file = tmp_path / f"sound{target.format.suffix}"
    write_with_card(bench.conversion_cache.graph(target), bench.card, file)
    report = bench.report(file, target.recipe.name)
    assert report.held, report.misses
    assert report.accuracy.accuracy_keras > 0.9
    assert (report.windows, report.clips, report.caveat) == (len(bench.keras), 48, None)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda item: item.name)
def test_swapped_labels_fail(format_: Any, bench: Any, tmp_path: Path) -> None:
    file = tmp_path / f"swapped{format_.suffix}"
    genres = bench.card.genres
    write_with_card(
        bench.conversion_cache.graph(Target(format_, INT8)), bench.card.replace(genres=genres[1::-1] + genres[2:]), file
    )
    report = bench.report(file, "int8")
    assert not report.held
    assert "the card inside the file promises another genres" in report.misses
    assert report.top1_agreement < 0.8


def test_a_wrong_channel_order_fails(bench: Any, tmp_path: Path) -> None:
    report = _tampered(bench, tmp_path, "float32", lambda weights: weights[..., ::-1], first_only=True)
    assert not report.held


@pytest.mark.parametrize("recipe", [recipe.name for recipe in RECIPES])
def test_noised_weights_fail_under_every_tolerance(recipe: str, bench: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    report = _tampered(bench, tmp_path, recipe, lambda weights: weights + rng.normal(0, weights.std(), weights.shape))
    assert not report.held
    assert report.worst_clips


@pytest.mark.parametrize(("format_", "converter"), [(TFLITE, tflite), (ONNX, onnx)], ids=["tflite", "onnx"])
def test_a_wrong_calibration_fails(format_: Any, converter: Any, bench: Any, tmp_path: Path) -> None:
    black, graph, file = np.zeros_like(bench.calibration[:4]), tmp_path / f"graph{format_.suffix}", tmp_path / "black"
    file = file.with_suffix(format_.suffix)
    with silence():
        converter.quantize(bench.conversion_cache.graph(Target(format_, FLOAT32)), INT8, black, graph)
    write_with_card(graph, bench.card, file)
    assert not bench.report(file, "int8").held


def test_an_undecided_keras_is_reported_and_not_counted(bench: Any) -> None:
    n = len(bench.shown.labels)
    report = compare("int8", bench.shown, _close(n, 0.41, 0.40), _close(n, 0.40, 0.41))
    assert (report.top1_agreement, report.disagreements, report.undecided_disagreements) == (1.0, 0, n)


def test_the_clips_of_counted_disagreements_are_the_worst(bench: Any) -> None:
    file = bench.keras.copy()
    file[100] = np.roll(file[100], 1)
    report = compare("int8", bench.shown, bench.keras, file)
    assert report.disagreements == 1
    assert report.worst_clips[0] == bench.shown.clips[100].name


def test_answers_that_are_not_numbers_fail(bench: Any) -> None:
    assert not compare("int8", bench.shown, bench.keras, np.full_like(bench.keras, np.nan)).held


def test_a_real_loss_of_accuracy_fails_even_where_enough_windows_agree(bench: Any) -> None:
    file = bench.keras.copy()
    right = np.flatnonzero(bench.keras.argmax(axis=1) == bench.shown.labels)
    of_other_songs = list({bench.shown.clips[index].song: index for index in right}.values())[:14]
    file[of_other_songs] = np.roll(file[of_other_songs], 1, axis=1)
    report = compare("int8", bench.shown, bench.keras, file)
    assert report.top1_agreement > 0.97
    assert [miss.partition(" by ")[0] for miss in report.misses] == ["the accuracy falls"] * 2


def test_too_few_windows_are_said_to_prove_little(bench: Any) -> None:
    few = replace(
        bench.shown, pictures=bench.shown.pictures[:60], labels=bench.shown.labels[:60], clips=bench.shown.clips[:60]
    )
    report = compare("int8", few, bench.keras[:60], bench.keras[:60])
    assert report.held
    assert report.caveat is not None
    assert "only 60 windows" in report.caveat
    assert "up to 5.0%" in report.caveat


def test_divergence_is_zero_for_the_same_answers_and_positive_for_others() -> None:
    assert mean_kl(_close(3, 0.6, 0.3), _close(3, 0.6, 0.3)) == pytest.approx(0.0, abs=1e-12)
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert mean_kl(_close(2, 0.5, 0.5), _close(2, 0.25, 0.75)) == pytest.approx(expected)


def test_hard_pictures_are_reported_one_by_one() -> None:
    said = hard_answers(["silence"], ["a", "b"], np.array([[0.9, 0.1]], np.float32), np.array([[0.2, 0.8]], np.float32))
    assert said["silence"]["keras"] == "a"
    assert said["silence"]["file"] == "b"
    assert said["silence"]["max_probability_difference"] == pytest.approx(0.7)


def test_only_what_changes_an_answer_counts_as_a_different_card(bench: Any) -> None:
    card = bench.card
    assert card_differences(card, card.replace(export={"recipe": "int8"}, versions={})) == ()
    reversed_colormap = card.replace(colormap=card.colormap[::-1], temperature=2.0)
    assert card_differences(card, reversed_colormap) == ("colormap", "temperature")


def _tampered(
    bench: Any, folder: Path, recipe: str, change: Callable[[Any], Any], *, first_only: bool = False
) -> ParityReport:
    """Parity of the float32 file with its convolutions' weights changed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = bench.conversion_cache.graph(Target(TFLITE, FLOAT32)).read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content)
    graph = model.subgraphs[0]
    convolutions = [
        graph.tensors[operator.inputs[1]]
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D
    ]
    for tensor in convolutions[: 1 if first_only else None]:
        weights = model.buffers[tensor.buffer].data.view(np.float32).reshape(tensor.shape)
        changed = np.ascontiguousarray(change(weights), np.float32)
        model.buffers[tensor.buffer].data = np.frombuffer(changed.tobytes(), np.uint8)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    graph_file, file = folder / "graph.tflite", folder / "tampered.tflite"
    graph_file.write_bytes(builder.Output())
    write_with_card(graph_file, bench.card, file)
    report: ParityReport = bench.report(file, recipe)
    return report
