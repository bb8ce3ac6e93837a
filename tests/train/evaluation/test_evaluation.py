"""An evaluation as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace

import pytest

from train.dataset.dataset import Dataset
from train.evaluation.baselines import Baseline
from train.evaluation.results import CAVEATS, DEMONSTRATION, Evaluation, Misclassified
from train.evaluation.robustness import Degraded
from train.synthesis.negatives import KINDS

Judged = tuple[Dataset, Evaluation, Sequence[str]]
BASELINE = Baseline(
    name="MFCC statistics, SVM",
    clip_accuracy=0.6,
    clip_interval=(0.5, 0.7),
    song_accuracy=0.65,
    song_interval=(0.5, 0.8),
    difference=-0.1,
    difference_interval=(-0.2, 0.05),
    verdict="the network does not beat the baseline",
)


def test_json_holds_every_field_under_its_name_and_the_schema(judged: Judged) -> None:
    _, result, _ = judged
    document = json.loads(result.to_json())
    assert document.pop("schema") == 1
    assert list(document) == [field.name for field in fields(Evaluation)]
    assert document["demonstration"] is True
    assert document["degraded"] == []
    assert document["baseline"] is None
    assert sum(map(sum, document["confusion"])) == document["clips"]
    assert sum(each["clips"] for each in document["calibration"]["before"]["bins"]) == document["clips"]
    assert [each["kind"] for each in document["unknown"]["negatives"]] == list(KINDS)


def test_a_file_name_that_is_not_utf_8_survives_json(judged: Judged) -> None:
    _, result, _ = judged
    odd = Misclassified("a", "Rock/\udcff.mp3", 0.0, "Rock", "Punk", 0.9, 0.1, "clips/a.flac", "images/test/Rock/a.png")
    text = replace(result, misclassified=(odd,)).to_json()
    assert json.loads(text.encode("utf-8"))["misclassified"][0]["song"] == odd.song


def test_the_text_names_every_genre_and_figure(judged: Judged) -> None:
    _, result, _ = judged
    text = result.as_text()
    for genre in result.genres:
        assert genre in text
    for said in ("95 % interval", "macro F1", "likeliest", "temperature", "unknown: below", "hum", DEMONSTRATION):
        assert said in text
    assert "baseline" not in text


def test_worse_sound_and_the_baseline_stand_in_the_text_where_they_were_asked_for(judged: Judged) -> None:
    _, result, _ = judged
    worse = (Degraded("noise at 20 dB SNR", 40, 0.345, (0.2, 0.5)),)
    text = replace(result, degraded=worse, baseline=BASELINE).as_text()
    assert "noise at 20 dB SNR       34.5%" in text
    assert BASELINE.verdict in text


@pytest.mark.parametrize("split", ["train", "validation"])
def test_scores_on_songs_that_were_chosen_by_say_so(split: str, judged: Judged) -> None:
    _, result, _ = judged
    assert CAVEATS[split] in replace(result, split=split).as_text()
    assert not replace(result, demonstration=False).caveats()
