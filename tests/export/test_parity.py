from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export import onnx, tflite
from export.metadata import tflite_operators, write_with_card
from export.parity import (
    ACCURACY_LOSS,
    PARITY_WINDOWS,
    TOLERANCES,
    UNDECIDED_MARGIN,
    ParityReport,
    card_differences,
    compare,
    compare_stress_inputs,
    exact_sign_flip_test,
    find_tolerance,
    mean_kl,
    paired_test,
)
from export.recipes import FLOAT32, FORMATS, INT8, RECIPES, Target
from tests.export.conftest import ParityKit
from train.libraries import silence

TFLITE, ONNX = FORMATS["tflite"], FORMATS["onnx"]
TARGETS = [Target(format_, recipe) for format_ in FORMATS.values() for recipe in format_.recipes]


EACH_ITS_OWN = [str(number) for number in range(500)]


def test_every_recipe_has_its_tolerance() -> None:
    assert set(TOLERANCES) == {recipe.name for recipe in RECIPES}


@pytest.mark.parametrize(
    ("recipe", "agreement", "difference"),
    [("float32", 1.0, 1e-4), ("float16", 0.995, 1e-2), ("dynamic", 0.98, None), ("int8", 0.97, None)],
)
def test_tolerances_are_those_that_were_promised(recipe: str, agreement: float, difference: float | None) -> None:
    assert TOLERANCES[recipe].top1_agreement == agreement
    assert TOLERANCES[recipe].probability_difference == difference


def test_limits_of_the_comparison_are_those_that_were_promised() -> None:
    assert (PARITY_WINDOWS, UNDECIDED_MARGIN, ACCURACY_LOSS) == (500, 0.05, 0.01)


def test_a_file_with_waveform_input_may_round_some_pixels_to_the_next_value() -> None:
    assert find_tolerance("float32", "image") == TOLERANCES["float32"]
    for recipe in TOLERANCES:
        own, usual = find_tolerance(recipe, "waveform"), TOLERANCES[recipe]
        assert own.top1_agreement == usual.top1_agreement
        assert (own.probability_difference is None) == (usual.probability_difference is None)
    assert find_tolerance("float32", "waveform").probability_difference == 1e-2
    assert find_tolerance("float16", "waveform").probability_difference == 1e-2


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (1, 9), (0, 6), (40, 22), (500, 420)])
def test_with_one_window_a_song_it_is_the_sign_test(first: int, second: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert exact_sign_flip_test(np.array([1] * first + [-1] * second)) == pytest.approx(expected)


def test_it_agrees_with_the_permutation_test_of_scipy() -> None:
    from scipy.stats import permutation_test

    differences = np.array([-8, -3, 1, 0, -1, 2, -2, -5])
    against = permutation_test((differences, 0 * differences), lambda x, y: np.sum(x - y), permutation_type="samples")
    assert exact_sign_flip_test(differences) == pytest.approx(against.pvalue)


def test_many_lost_windows_of_one_song_are_one_event() -> None:
    keras = np.ones(500, bool)
    file = np.arange(500) >= 16
    of_one_song = [str(number // 16) for number in range(500)]
    assert paired_test(keras, file, of_one_song).p_value == 1.0
    assert paired_test(keras, file, EACH_ITS_OWN).p_value < 0.001


def test_equal_predictions_give_no_difference_but_an_interval() -> None:
    correct = np.arange(500) % 5 > 0
    test = paired_test(correct, correct, EACH_ITS_OWN)
    assert test.loss == 0
    assert test.p_value == 1.0
    assert -0.01 < test.difference_low < 0 < test.difference_high < 0.01


def test_a_loss_beyond_chance_has_a_small_p_value_and_an_interval_below_zero() -> None:
    keras, file = np.ones(500, bool), np.arange(500) >= 30
    test = paired_test(keras, file, EACH_ITS_OWN)
    assert test.loss == pytest.approx(0.06)
    assert test.p_value < 1e-6
    assert test.difference_low < -0.06 < test.difference_high < 0


def test_the_interval_contains_the_true_difference_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        drawn = rng.choice(4, size=300, p=[0.85, 0.06, 0.03, 0.06])
        test = paired_test((drawn == 0) | (drawn == 1), (drawn == 0) | (drawn == 2), EACH_ITS_OWN[:300])
        covered += test.difference_low <= -0.03 <= test.difference_high
    assert 0.92 <= covered / 400 <= 0.99


def _close(n: int, first: float, second: float) -> NDArray[np.float32]:
    return np.tile(np.array([first, second, 1 - first - second, 0.0], np.float32), (n, 1))


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_export_is_within_its_tolerances(target: Target, image_kit: ParityKit, tmp_path: Path) -> None:
    file = tmp_path / f"model{target.format.suffix}"
    write_with_card(image_kit.cache.graph(target), image_kit.card, file)
    report = image_kit.report(file, target.recipe.name)
    assert report.passed, report.failures
    assert report.accuracy
    assert report.accuracy.accuracy_keras > 0.9
    assert (report.windows, report.clips, report.caveat) == (len(image_kit.keras), 48, None)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda item: item.name)
def test_swapped_labels_fail(format_: Any, image_kit: ParityKit, tmp_path: Path) -> None:
    file = tmp_path / f"swapped{format_.suffix}"
    genres = image_kit.card.genres
    write_with_card(
        image_kit.cache.graph(Target(format_, INT8)), image_kit.card.replace(genres=genres[1::-1] + genres[2:]), file
    )
    report = image_kit.report(file, "int8")
    assert not report.passed
    assert "the card inside the file has another genres" in report.failures
    assert report.top1_agreement < 0.8


def test_a_wrong_channel_order_fails(image_kit: ParityKit, tmp_path: Path) -> None:
    report = _tampered(image_kit, tmp_path, "float32", lambda weights: weights[..., ::-1], first_only=True)
    assert not report.passed


@pytest.mark.parametrize("recipe", [recipe.name for recipe in RECIPES])
def test_noised_weights_fail_under_every_tolerance(recipe: str, image_kit: ParityKit, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    report = _tampered(
        image_kit, tmp_path, recipe, lambda weights: weights + rng.normal(0, weights.std(), weights.shape)
    )
    assert not report.passed
    assert report.worst_clips


@pytest.mark.parametrize(("format_", "converter"), [(TFLITE, tflite), (ONNX, onnx)], ids=["tflite", "onnx"])
def test_a_wrong_calibration_fails(format_: Any, converter: Any, image_kit: ParityKit, tmp_path: Path) -> None:
    black, graph, file = (
        np.zeros_like(image_kit.calibration[:4]),
        tmp_path / f"graph{format_.suffix}",
        tmp_path / "black",
    )
    file = file.with_suffix(format_.suffix)
    with silence():
        converter.quantize(image_kit.cache.graph(Target(format_, FLOAT32)), INT8, black, graph)
    write_with_card(graph, image_kit.card, file)
    assert not image_kit.report(file, "int8").passed


def test_an_undecided_keras_is_reported_and_not_counted(image_kit: ParityKit) -> None:
    n = len(image_kit.inputs.clips)
    report = compare("int8", image_kit.inputs, _close(n, 0.41, 0.40), _close(n, 0.40, 0.41))
    assert (report.top1_agreement, report.disagreements, report.undecided_disagreements) == (1.0, 0, n)


def test_the_clips_of_counted_disagreements_are_the_worst(image_kit: ParityKit) -> None:
    file = image_kit.keras.copy()
    file[100] = np.roll(file[100], 1)
    report = compare("int8", image_kit.inputs, image_kit.keras, file)
    assert report.disagreements == 1
    assert report.worst_clips[0] == image_kit.inputs.clips[100].name


def test_predictions_that_are_nan_fail(image_kit: ParityKit) -> None:
    assert not compare("int8", image_kit.inputs, image_kit.keras, np.full_like(image_kit.keras, np.nan)).passed


def test_a_real_loss_of_accuracy_fails_even_where_enough_windows_agree(image_kit: ParityKit) -> None:
    file = image_kit.keras.copy()
    correct = np.flatnonzero(image_kit.keras.argmax(axis=1) == image_kit.inputs.labels)
    of_other_songs = list({image_kit.inputs.clips[index].song: index for index in correct}.values())[:14]
    file[of_other_songs] = np.roll(file[of_other_songs], 1, axis=1)
    report = compare("int8", image_kit.inputs, image_kit.keras, file)
    assert report.top1_agreement > 0.97
    assert [failure.partition(" by ")[0] for failure in report.failures] == ["the accuracy falls"] * 2


def test_too_few_windows_give_a_caveat(image_kit: ParityKit) -> None:
    few = replace(
        image_kit.inputs,
        images=image_kit.inputs.images[:60],
        labels=np.zeros(60, np.int64),
        clips=image_kit.inputs.clips[:60],
    )
    report = compare("int8", few, image_kit.keras[:60], image_kit.keras[:60])
    assert report.passed
    assert report.caveat is not None
    assert "only 60 windows" in report.caveat
    assert "up to 5.0 %" in report.caveat


def test_divergence_is_zero_for_equal_predictions_and_positive_for_others() -> None:
    assert mean_kl(_close(3, 0.6, 0.3), _close(3, 0.6, 0.3)) == pytest.approx(0.0, abs=1e-12)
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert mean_kl(_close(2, 0.5, 0.5), _close(2, 0.25, 0.75)) == pytest.approx(expected)


def test_stress_inputs_are_reported_one_by_one() -> None:
    found = compare_stress_inputs(
        ["silence"], ["a", "b"], np.array([[0.9, 0.1]], np.float32), np.array([[0.2, 0.8]], np.float32)
    )
    assert found["silence"]["keras"] == "a"
    assert found["silence"]["file"] == "b"
    assert found["silence"]["max_probability_difference"] == pytest.approx(0.7)


def test_only_fields_that_change_a_prediction_count_as_a_different_card(image_kit: ParityKit) -> None:
    card = image_kit.card
    assert card_differences(card, card.replace(export={"recipe": "int8"}, versions={})) == ()
    reversed_colormap = card.replace(colormap=card.colormap[::-1], temperature=2.0)
    assert card_differences(card, reversed_colormap) == ("colormap", "temperature")
    voting = card.replace(pooling="vote", smoothing_seconds=4.0)
    assert card_differences(card, voting) == ("pooling", "smoothing_seconds")


def _tampered(
    image_kit: ParityKit, folder: Path, recipe: str, change: Callable[[Any], Any], *, first_only: bool = False
) -> ParityReport:
    """Parity of the float32 file with its convolutions' weights changed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = image_kit.cache.graph(Target(TFLITE, FLOAT32)).read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content)
    tensors = model.subgraphs[0].tensors
    convolutions = [tensors[operator.inputs[1]] for type_, operator in tflite_operators(model) if type_ == "CONV_2D"]
    for tensor in convolutions[: 1 if first_only else None]:
        weights = model.buffers[tensor.buffer].data.view(np.float32).reshape(tensor.shape)
        changed = np.ascontiguousarray(change(weights), np.float32)
        model.buffers[tensor.buffer].data = np.frombuffer(changed.tobytes(), np.uint8)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    graph_file, file = folder / "graph.tflite", folder / "tampered.tflite"
    graph_file.write_bytes(builder.Output())
    write_with_card(graph_file, image_kit.card, file)
    report: ParityReport = image_kit.report(file, recipe)
    return report
