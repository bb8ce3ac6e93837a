"""An evaluation is written as JSON and as text, with its most confident errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest

from train.dataset.dataset import Dataset
from train.evaluation.baselines import Baseline
from train.evaluation.results import (
    CAVEATS,
    DEMONSTRATION,
    MAX_MISCLASSIFIED,
    SCHEMA,
    Evaluation,
    Misclassified,
    most_confident_errors,
)
from train.evaluation.robustness import DegradedScores
from train.synthesis.negatives import KINDS

Evaluated = tuple[Dataset, Evaluation, Sequence[str]]
BASELINE = Baseline(
    name="MFCC statistics, SVM",
    clip_accuracy=0.6,
    clip_accuracy_ci=(0.5, 0.7),
    song_accuracy=0.65,
    song_accuracy_ci=(0.5, 0.8),
    difference=-0.1,
    difference_ci=(-0.2, 0.05),
    verdict="the baseline is significantly better than the network",
)


def test_json_holds_every_field_under_its_name_and_the_schema(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    document = json.loads(result.to_json())
    assert document.pop("schema") == SCHEMA
    assert list(document) == [field.name for field in fields(Evaluation)]
    assert document["demonstration"] is True
    assert document["robustness"] == []
    assert document["baselines"] == []
    assert sum(map(sum, document["confusion"])) == document["clips"]
    assert sum(each["clips"] for each in document["calibration"]["before"]["bins"]) == document["clips"]
    assert [each["kind"] for each in document["rejection"]["out_of_distribution"]] == list(KINDS)


def test_a_file_name_that_is_not_utf_8_survives_json(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    odd = Misclassified("a", "Rock/\udcff.mp3", 0.0, "Rock", "Punk", 0.9, 0.1, "clips/a.flac", "images/test/Rock/a.png")
    text = replace(result, misclassified=(odd,)).to_json()
    assert json.loads(text.encode("utf-8"))["misclassified"][0]["song"] == odd.song


def test_the_text_names_every_genre_and_figure(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    text = result.as_text()
    for genre in result.genres:
        assert genre in text
    for part in (
        "95 % CI",
        "macro F1",
        "top-2",
        "temperature",
        "unknown below",
        "hum",
        "pooling",
        "after the first 1 s",
        DEMONSTRATION,
    ):
        assert part in text
    assert "baseline" not in text


def test_robustness_and_the_baseline_are_in_the_text_where_they_were_requested(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    noisy = (DegradedScores("pink noise, SNR 20 dB", 40, 0.345, (0.2, 0.5)),)
    text = replace(result, robustness=noisy, baselines=(BASELINE,)).as_text()
    assert "pink noise, SNR 20 dB    34.5 % (95 % CI 20 to 50)" in text
    assert BASELINE.verdict in text
    best, worst = sorted([(result.clip_accuracy, "the network"), (0.6, BASELINE.name)], reverse=True)
    assert f"from best to worst by clip accuracy: {best[1]} {100 * best[0]:.1f} %, {worst[1]}" in text


@pytest.mark.parametrize("split", ["train", "validation"])
def test_scores_on_songs_that_were_trained_or_selected_on_have_a_caveat(split: str, evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    assert CAVEATS[split] in replace(result, split=split).as_text()
    assert not replace(result, demonstration=False).caveats()


def test_the_most_confident_errors_come_first_with_files_that_exist(small_dataset: Dataset) -> None:
    clips = small_dataset.of("train")
    labels = small_dataset.labels(clips)
    probabilities = np.zeros((len(clips), 10), np.float32)
    probabilities[np.arange(len(clips)), (labels + 1) % 10] = np.linspace(0.6, 0.9, len(clips))
    probabilities[np.arange(len(clips)), labels] = 0.05
    probabilities[0, labels[0]] = 0.99  # correct after all
    found = most_confident_errors(small_dataset, clips, probabilities)
    assert len(found) == MAX_MISCLASSIFIED
    assert found[0].clip == clips[-1].name
    assert (found[0].genre, found[0].prediction) == (clips[-1].genre, small_dataset.genres[(labels[-1] + 1) % 10])
    assert [each.confidence for each in found] == sorted((each.confidence for each in found), reverse=True)
    assert clips[0].name not in {each.clip for each in found}
    assert all((small_dataset.run.folder / file).is_file() for each in found for file in (each.audio, each.image))


def test_a_model_that_is_always_correct_makes_no_errors(small_dataset: Dataset) -> None:
    clips = small_dataset.of("test")
    assert most_confident_errors(small_dataset, clips, np.eye(10, dtype=np.float32)[small_dataset.labels(clips)]) == ()
