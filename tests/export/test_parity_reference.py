from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edge_runtime.errors import TmgcError
from edge_runtime.golden_windows import check_golden
from edge_runtime.interpreters import failed_run, open_interpreter
from edge_runtime.interpreters.openvino import OpenVinoInterpreter
from edge_runtime.model_file import read_card
from edge_runtime.spectrogram import Spectrogram
from export.exporter import ExportSettings, export_model
from export.parity import MAX_PARITY_WINDOWS, PARITY_WINDOWS, find_tolerance
from export.parity_reference import parity_inputs, stress_inputs
from export.recipes import FORMATS
from export.report import format_inspection, inspect_file, parity_notes, parity_table
from export.sources import open_run
from tests.export.conftest import NAMES, ParityKit, Reports
from train.dataset.dataset import read_dataset
from train.run import Run

needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")


def test_the_longest_hop_with_500_windows_is_taken(tiny_run: Run) -> None:
    inputs = parity_inputs(read_dataset(tiny_run), "test")
    assert inputs.hop_seconds == 0.125
    assert PARITY_WINDOWS <= len(inputs.images) <= MAX_PARITY_WINDOWS
    assert (inputs.clip_count, inputs.song_count) == (48, 48)
    assert inputs.images.shape[1:] == (32, 32, 3)
    assert {clip.split for clip in inputs.clips} == {"test"}


def test_images_are_those_of_a_listener(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    inputs = parity_inputs(dataset, "test")
    clip, samples = next(dataset.windows(dataset.of("test"), hop_seconds=inputs.hop_seconds))
    np.testing.assert_array_equal(inputs.images[0], Spectrogram(dataset.spectrogram, dataset.colormap).image(samples))
    assert inputs.clips[0] == clip
    assert inputs.labels is not None
    assert dataset.genres[inputs.labels[0]] == clip.genre
    assert parity_inputs(dataset, "test", labelled=False).labels is None


def test_a_split_without_clips_is_refused(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    empty = replace(dataset, clips=tuple(dataset.of("train")))
    with pytest.raises(TmgcError, match="clips of the test split"):
        parity_inputs(empty, "test")


def test_stress_inputs_differ_from_one_another(tiny_run: Run) -> None:
    waveforms = stress_inputs(read_dataset(tiny_run), "test")
    assert set(waveforms) == {"silence", "full-scale noise", "sine", "clipped music"}
    assert len({waveform.tobytes() for waveform in waveforms.values()}) == 4


ONNX_NAMES = [name for name in NAMES if name.endswith(".onnx")]


@needs_openvino
@pytest.mark.parametrize("name", ONNX_NAMES)
def test_every_onnx_export_is_within_tolerance_in_openvino_too(name: str, exports: Reports) -> None:
    parity = exports[name]["parity"]
    assert parity["runtime"].startswith("onnxruntime ")
    assert list(parity["other_engines"]) == ["openvino"]
    other = parity["other_engines"]["openvino"]
    assert other["runtime"].startswith("openvino ")
    assert other["passed"], other["failures"]
    assert (other["windows"], other["split"]) == (parity["windows"], "test")
    limit = find_tolerance(parity["recipe"], "image").probability_difference
    assert limit is None or other["max_probability_difference"] <= limit
    card = read_card(Path(exports[name]["file"]))
    (result, *_) = check_golden(open_interpreter(exports[name]["file"], engine="openvino"))
    assert list(result.expected) == card.export["golden"]["other_engines"]["openvino"][result.window]
    assert result.difference < 1e-5
    assert card.export["parity"]["other_engines"] == parity["other_engines"]
    assert card.failed_engines == ()


@needs_openvino
def test_the_engine_that_is_asked_for_is_the_one_that_is_compared(exports: Reports, image_kit: ParityKit) -> None:
    file = Path(exports["tiny.int8.onnx"]["file"])
    settings: Any = {"recipe": "int8", "input_kind": "image", "threads": 1}
    found = {
        engine: image_kit.reference.report(file, image_kit.card, engine=engine, **settings)
        for engine in ("onnxruntime", "openvino")
    }
    assert all(report.runtime.startswith(engine) for engine, report in found.items())
    assert len({report.max_probability_difference for report in found.values()}) == 2


@needs_openvino
@pytest.mark.parametrize("how", ["other probabilities", "does not run"])
def test_a_file_that_fails_with_the_second_engine_keeps_its_name_and_says_with_which(
    how: str, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke = OpenVinoInterpreter.invoke

    def broken(self: OpenVinoInterpreter, window: Any) -> Any:
        if how == "does not run":
            raise failed_run(self.path, self.runtime, RuntimeError("no memory"))
        return np.roll(invoke(self, window), 1)

    monkeypatch.setattr(OpenVinoInterpreter, "invoke", broken)
    settings = ExportSettings((FORMATS["onnx"],), ("none",), tmp_path, calibration_clips=8)
    with open_run(tiny_run) as source:
        (report,) = export_model(source, settings)
    assert Path(report["file"]).name == "tiny.float32.onnx"
    assert report["parity"]["passed"]
    (failure, *_) = report["parity"]["other_engines"]["openvino"]["failures"]
    assert ("top-1 agreement" in failure) == (how == "other probabilities")
    assert str(tiny_run.folder) not in failure
    card = read_card(Path(report["file"]))
    assert card.failed_engines == ("openvino",)
    assert not card.failed_parity
    assert f"{report['file']} must not be run by openvino: {failure}" in parity_notes([report])
    (line,) = [line for line in format_inspection(inspect_file(Path(report["file"]))) if line.startswith("parity")]
    assert "passed: top-1 agreement" in line
    assert f"with openvino FAILED ({failure}" in line
    output = StringIO()
    Console(file=output, width=80).print(parity_table([report]))
    assert "…" not in output.getvalue()
    assert [line.split()[-1] for line in output.getvalue().splitlines() if "openvino" in line] == ["FAILED"]
