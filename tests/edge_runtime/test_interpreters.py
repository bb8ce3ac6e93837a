"""Model files of both formats give the same answers, and a bad one gives one clear line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import ModelCard, SpectrogramSettings, TmgcError
from edge_runtime.interpreters import default_threads, open_interpreter
from tests.edge_runtime.conftest import SHARPNESS

FORMATS = pytest.mark.parametrize("form", ["tflite", "onnx"])


@FORMATS
@pytest.mark.parametrize("threads", [1, 2])
def test_the_answer_is_that_of_the_network(form: str, threads: int, models: dict[str, Path], card: ModelCard) -> None:
    interpreter = open_interpreter(models[form], threads=threads)
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    logits = picture.mean(axis=(0, 1)) * SHARPNESS / 255
    expected = np.exp(logits) / np.exp(logits).sum()
    probabilities = interpreter.invoke(picture)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert interpreter.threads == threads
    assert interpreter.card.genres == card.genres
    assert any(character.isdigit() for character in interpreter.runtime)


@FORMATS
def test_an_answer_is_not_overwritten_by_the_next(form: str, models: dict[str, Path]) -> None:
    interpreter = open_interpreter(models[form])
    dark, bright = np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)
    bright[..., 1] = 255
    first = interpreter.invoke(dark)
    kept = first.copy()
    interpreter.invoke(bright)
    np.testing.assert_array_equal(first, kept)


@FORMATS
def test_a_model_without_a_card_is_refused(form: str, graphs: dict[str, Path]) -> None:
    with pytest.raises(TmgcError, match="must carry its model card"):
        open_interpreter(graphs[form])


@FORMATS
@pytest.mark.parametrize("share", [0.99, 0.5, 0.1, 0.0])
def test_a_truncated_model_is_refused_in_one_line(
    form: str, share: float, models: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / models[form].name
    content = models[form].read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TmgcError) as caught:
        open_interpreter(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@FORMATS
def test_a_file_of_another_kind_is_refused(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{form}"
    path.write_text("not a model")
    with pytest.raises(TmgcError, match=r"Make one with tmgc-export|cannot be run"):
        open_interpreter(path)


@FORMATS
@pytest.mark.parametrize("change", ["genres", "image", "waveform"])
def test_a_card_that_does_not_fit_its_model_is_refused(
    form: str, change: str, graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    from export.metadata import write_with_card

    wrong = {
        "genres": replace(card, genres=("Halk", "Caz")),
        "image": replace(card, spectrogram=SpectrogramSettings(image_height=48, image_width=32)),
        "waveform": replace(card, input_kind="waveform"),
    }[change]
    path = tmp_path / f"wrong.{form}"
    write_with_card(graphs[form], wrong, path)
    with pytest.raises(TmgcError, match="must match its card"):
        open_interpreter(path)


@pytest.mark.parametrize(
    ("name", "said"), [("model.h5", "ends in .tflite or .onnx"), ("none.onnx", "there is no file")]
)
def test_a_path_that_is_no_model_file_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match=said):
        open_interpreter(tmp_path / name)


def test_no_threads_are_refused(models: dict[str, Path]) -> None:
    with pytest.raises(TmgcError, match="at least 1"):
        open_interpreter(models["tflite"], threads=0)


def test_by_default_one_usable_core_is_left_to_the_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (4, 3), (16, 4)):
        monkeypatch.setattr("os.sched_getaffinity", lambda process, cores=cores: set(range(cores)))
        assert default_threads() == threads
