from pathlib import Path
from typing import Any

import pytest

from benchmarks.cases import EXPORT, KERAS_PREDICT, ORIGINAL, TFLITE_RUNTIME, RowSpec
from benchmarks.report import quality_of
from train.evaluation.metrics import wilson_interval

REPORT: dict[str, Any] = {
    "sha256": "file",
    "keras_sha256": "network",
    "parity": {
        "split": "test",
        "windows": 500,
        "songs": 20,
        "top1_agreement": 0.98,
        "accuracy": {"accuracy_keras": 0.8, "accuracy_file": 0.75},
    },
}


def quality(pipeline: str, sha256: str | None) -> Any:
    return quality_of(RowSpec(pipeline, pipeline, Path("a.int8.tflite"), Path("card.json")), sha256, [REPORT])


def test_a_file_has_the_accuracy_that_its_proof_found_with_a_song_as_one_trial() -> None:
    found = quality(EXPORT, "file")
    assert (found["split"], found["windows"], found["songs"]) == ("test", 500, 20)
    assert (found["accuracy"]["share"], found["agreement"]["share"]) == (0.75, 0.98)
    assert (found["accuracy"]["low"], found["accuracy"]["high"]) == pytest.approx(wilson_interval(15, 20))


def test_keras_has_its_own_accuracy_on_the_same_windows_and_no_agreement() -> None:
    found = quality(KERAS_PREDICT, "network")
    assert found["accuracy"]["share"] == 0.8
    assert found["agreement"] is None


@pytest.mark.parametrize(
    ("pipeline", "sha256"), [(EXPORT, "another"), (EXPORT, None), (ORIGINAL, "network"), (TFLITE_RUNTIME, "file")]
)
def test_nothing_is_said_of_what_the_proof_did_not_run(pipeline: str, sha256: str | None) -> None:
    assert quality(pipeline, sha256) is None
