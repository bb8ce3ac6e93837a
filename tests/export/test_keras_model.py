from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from export.frontend import KerasModel
from train.libraries import silence
from train.run import Run


def test_answers_are_those_of_predict(tiny_run: Run, bench: Any) -> None:
    with silence():
        import keras

        expected = keras.models.load_model(tiny_run.model).predict(bench.shown.pictures[:40], verbose=0)
    np.testing.assert_allclose(bench.keras[:40], expected, atol=1e-6)


def test_a_missing_model_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="tmgc-train fit"):
        KerasModel(tmp_path / "model.keras")


def test_a_damaged_model_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"not a model")
    with silence(), pytest.raises(TmgcError, match="cannot be read as a Keras model") as caught:
        KerasModel(path)
    assert "\n" not in str(caught.value)


def test_a_model_that_takes_no_pixels_is_refused(tmp_path: Path) -> None:
    with silence():
        import keras

        inputs = keras.Input((8,))
        keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "model.keras")
        with pytest.raises(TmgcError, match="must take uint8 pictures"):
            KerasModel(tmp_path / "model.keras")
