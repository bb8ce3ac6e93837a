from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.cases import find_cases
from benchmarks.inputs import Excerpt, excerpts_of_run
from benchmarks.pipelines import ExportPipeline, load_network, read_window
from benchmarks.worker import open_pipeline
from edge_runtime.errors import TmgcError
from edge_runtime.model_file import read_card
from edge_runtime.spectrogram import SpectrogramSettings
from tests.conftest import tone
from train.run import Run


def test_a_window_is_read_at_the_models_rate_and_is_silent_beyond_the_files_end(tmp_path: Path) -> None:
    settings = SpectrogramSettings()
    path = tmp_path / "short.wav"
    soundfile.write(path, np.stack([tone(1.5, sample_rate=22_050)] * 2, axis=1), 22_050)
    samples = read_window(Excerpt(path, 0.5), settings)
    assert samples.shape == (settings.window_samples,)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples[1000:40_000], tone(2, sample_rate=44_100)[22_050:][1000:40_000], atol=0.02)
    assert not samples[-settings.sample_rate // 2 :].any()


@pytest.mark.parametrize(
    ("name", "library"),
    [("tflite-float32", "ai-edge-litert"), ("onnx-float32", "onnxruntime"), ("openvino-float32", "openvino")],
)
def test_an_export_predicts_a_genre_and_times_its_stages(tiny_run: Run, name: str, library: str) -> None:
    case = next((case for case in find_cases(tiny_run)[0] if case.name == name), None)
    if case is None:
        pytest.skip(f"{library} is not installed")
    pipeline = open_pipeline(case, threads=1)
    assert isinstance(pipeline, ExportPipeline)
    assert pipeline.runtime.startswith(f"{library} ")
    prediction = pipeline.predict(pipeline.read(excerpts_of_run(tiny_run)[0]))
    assert prediction.class_index in range(len(read_card(case.model).genres))
    assert set(prediction.stages_ms) == {"spectrogram", "model", "decision"}


def test_a_missing_network_is_refused_before_tensorflow_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="tmgc-train fit"):
        load_network(tmp_path / "model.keras", threads=1)
