from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import GenreClassifier, SpectrogramSettings, read_audio
from edge_runtime.errors import TmgcError
from edge_runtime.golden_windows import check_golden
from edge_runtime.interpreters import open_interpreter
from export import exporter, parity, parity_reference, tflite
from export.exporter import ExportSettings, Steps, export_model
from export.metadata import write_with_card
from export.parity import TOLERANCES, ParityReport, Tolerance, compare
from export.recipes import DYNAMIC, FLOAT32, FORMATS, GraphOptions, Target, parse_formats
from export.report import read_parity_json
from export.sources import open_run
from tests.export.conftest import NAMES, ParityKit, Reports
from tests.factories import TINY_TRAINING, tiny_trained_run, write_songs
from train.dataset.dataset import read_dataset
from train.evaluation import evaluate
from train.run import Run

TFLITE = tuple(parse_formats("tflite"))


def small_mobile_backbone(*, input_shape: tuple[int, int, int], weights: str | None) -> Any:
    """What MobileNetV2 is made of, for images of 64 rows: ReLU6, depthwise convolutions, and a residual block."""
    import keras
    from keras import layers

    def block(hidden: Any, filters: int, strides: int) -> Any:
        expanded = layers.Conv2D(2 * filters, 1, use_bias=False)(hidden)
        expanded = layers.ReLU(6.0)(layers.BatchNormalization()(expanded))
        expanded = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(expanded)
        expanded = layers.ReLU(6.0)(layers.BatchNormalization()(expanded))
        projected = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(expanded))
        return projected if strides > 1 else layers.Add()([hidden, projected])

    pixels = keras.Input(input_shape)
    hidden = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(pixels)
    hidden = layers.ReLU(6.0)(layers.BatchNormalization()(hidden))
    hidden = block(block(hidden, 16, 2), 16, 1)
    return keras.Model(pixels, layers.Flatten()(layers.AveragePooling2D((2, hidden.shape[2]))(hidden)))


@pytest.mark.full
def test_a_run_of_images_of_one_channel_becomes_files_that_classify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.dataset import DatasetConfig, prepare
    from train.training import fit
    from train.training.architectures import Architecture, register_architecture

    monkeypatch.setattr("train.training.architectures._REGISTERED", {})
    register_architecture(Architecture("small_mobile", small_mobile_backbone, scale=(1 / 127.5,) * 3, offset=(-1,) * 3))
    songs = write_songs(tmp_path / "songs", songs=8)
    settings = DatasetConfig(
        offsets_seconds=(0.5, 2.5),
        spectrogram=SpectrogramSettings(sample_rate=11_025, image_height=64, image_width=173),
        colormap="gray",
    )
    dataset, _ = prepare(songs, Run(tmp_path / "gray"), settings, workers=1)
    fit(dataset, replace(TINY_TRAINING, architecture="small_mobile", head_epochs=4, epochs=15, patience=15))
    evaluate(dataset, "test")
    for input_kind, formats in (("image", "all"), ("waveform", "tflite")):
        exports = ExportSettings(
            tuple(parse_formats(formats)),
            ("int8",),
            tmp_path / input_kind,
            calibration_clips=40,
            graph=GraphOptions(input_kind=input_kind, batch="1" if input_kind == "waveform" else "dynamic"),
        )
        with open_run(dataset.run) as source:
            reports = export_model(source, exports)
        for report in reports:
            assert report["parity"]["passed"], report["parity"]["failures"]
            classifier = GenreClassifier.open(report["file"], threads=1)
            assert classifier.card.input_shape == ((64, 173, 1) if input_kind == "image" else (22_050,))
            sounds = [read_audio(path, sample_rate=11_025, seconds=2) for path in sorted(songs.glob("*/song 0.flac"))]
            assert [int(classifier.classify(sound).probabilities.argmax()) for sound in sounds] == [0, 1, 2]


def test_a_step_is_logged_before_it_is_done_and_measured(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "tmgc")
    steps = Steps()
    with steps.step("Converting songs [live]"):
        assert caplog.messages == ["Converting songs [live] ..."]
        print("a library's message")
    assert steps.seconds["Converting songs [live]"] >= 0
    assert capfd.readouterr().out == ""


def test_steps_are_logged_to_the_end_although_an_interpreter_silences_native_code_in_between() -> None:
    code = (
        "from edge_runtime.logs import setup_logging\n"
        "from edge_runtime.native_stderr import silence_native_stderr\n"
        "from export.exporter import Steps\n"
        "setup_logging()\n"
        "steps = Steps()\n"
        "with steps.step('Comparing'), silence_native_stderr():\n    pass\n"
        "with steps.step('Writing'):\n    pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["Comparing ...", "Writing ..."]


def test_float_files_are_made_once_and_shared(image_kit: ParityKit, monkeypatch: pytest.MonkeyPatch) -> None:
    first = image_kit.cache.graph(Target(FORMATS["tflite"], FLOAT32))
    image_kit.cache.graph(Target(FORMATS["onnx"], DYNAMIC))
    monkeypatch.setattr(tflite, "convert", None)
    monkeypatch.setattr(tflite, "quantize", None)
    assert image_kit.cache.graph(Target(FORMATS["tflite"], FLOAT32)) == first
    assert image_kit.cache.graph(Target(FORMATS["onnx"], DYNAMIC)).is_file()


def test_every_format_and_recipe_is_written_within_tolerance(exports: Reports) -> None:
    assert list(exports) == NAMES
    for report in exports.values():
        assert report["parity"]["passed"], report["parity"]["failures"]
        assert Path(report["file"]).stat().st_size == report["size_bytes"]
        assert hashlib.sha256(Path(report["file"]).read_bytes()).hexdigest() == report["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_a_written_file_is_the_one_that_was_compared(name: str, exports: Reports, image_kit: ParityKit) -> None:
    report = image_kit.report(Path(exports[name]["file"]), exports[name]["recipe"])
    written = exports[name]["parity"]
    assert report.max_probability_difference == pytest.approx(written["max_probability_difference"], abs=1e-6)
    assert report.top1_agreement == written["top1_agreement"]


@pytest.mark.parametrize("name", NAMES)
def test_the_card_inside_has_the_origin_of_the_file(name: str, exports: Reports, tiny_run: Run) -> None:
    card = open_interpreter(exports[name]["file"]).card
    assert card.replace(export={}, versions={}) == tiny_run.card().replace(export={}, versions={})
    assert f"tiny.{card.export['recipe']}.{card.export['format']}" == name
    assert card.export["parity"]["passed"] is True
    assert card.export["keras_sha256"] == hashlib.sha256(tiny_run.model.read_bytes()).hexdigest()
    assert {"python", "tensorflow", "tf2onnx", "litert-quantizer"} <= set(card.versions)
    training = {clip.name for clip in read_dataset(tiny_run).of("train")}
    calibrated = card.export["recipe"] == "int8"
    assert len(card.export["calibration"]) == (40 if calibrated else 0)
    assert training.issuperset(card.export["calibration"])
    assert card.export.get("opset") == (17 if card.export["format"] == "onnx" else None)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_inside_has_golden_windows_that_the_file_reaches(name: str, exports: Reports) -> None:
    interpreter = open_interpreter(exports[name]["file"])
    golden, recipe = interpreter.card.export["golden"], interpreter.card.export["recipe"]
    results = check_golden(interpreter)
    assert len(results) == len(golden["keras"]) == 6
    assert all(result.passed for result in results)
    if recipe == "float32":
        for result in results:
            assert result.expected == pytest.approx(golden["keras"][result.window], abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_has_size_time_memory_operators_and_multiplications(
    name: str, exports: Reports, tiny_run: Run
) -> None:
    report = exports[name]
    assert report["keras_size_bytes"] == tiny_run.model.stat().st_size
    assert report["size_ratio"] == report["size_bytes"] / report["keras_size_bytes"]
    assert 0 < report["export_seconds"] < 600
    assert 100 < report["peak_memory_mb"] < 100_000
    assert report["macs"] == exports["tiny.float32.tflite"]["macs"] > 1e6
    assert sum(report["operators"].values()) > 5
    assert report["input_kind"] == "image"
    for name in ("mean_kl_nats", "top1_agreement", "max_probability_difference", "stress_inputs"):
        assert name in report["parity"]
    test = report["parity"]["accuracy"]
    assert test["difference_low"] <= test["accuracy_file"] - test["accuracy_keras"] <= test["difference_high"]
    assert 0 <= test["p_value"] <= 1


def test_a_damaged_parity_json_is_refused_before_the_network_is_loaded(
    tiny_run: Run, copy_of: Callable[[Run], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_of(tiny_run)
    run.parity_json.write_text('{"schema": 3, "reports": [3]}', "utf-8")
    monkeypatch.setattr(exporter, "KerasModel", None)
    with pytest.raises(TmgcError, match="cannot be read"):
        _export(run, ExportSettings(TFLITE, ("none",), calibration_clips=8))


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_network_is_loaded(
    tiny_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "KerasModel", None)
    with pytest.raises(TmgcError, match=r"results go to /proc/exports: /proc cannot be written to"):
        _export(tiny_run, ExportSettings(TFLITE, ("none",), Path("/proc/exports"), calibration_clips=8))


def test_what_an_interrupted_export_left_is_removed_and_nothing_else(
    tiny_run: Run, copy_of: Callable[[Run], Run]
) -> None:
    run = copy_of(tiny_run)
    run.exports.mkdir()
    left, other = run.exports / ".part-copy.int8.tflite", run.exports / ".part-other.int8.tflite"
    left.touch()
    other.touch()
    _export(run, ExportSettings(TFLITE, ("none",), calibration_clips=8))
    assert not left.exists()
    assert other.exists()


def test_checksums_stand_beside_the_files_for_sha256sum(exports: Reports) -> None:
    folder = Path(exports[NAMES[0]]["file"]).parent
    command = ["sha256sum", "-c", *(f"{name}.sha256" for name in NAMES)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"{name}: OK" for name in NAMES]


def test_the_same_run_exported_twice_gives_the_same_bytes(tiny_run: Run, exports: Reports, tmp_path: Path) -> None:
    settings = ExportSettings(tuple(FORMATS.values()), ("int8",), tmp_path, calibration_clips=40)
    again = {Path(report["file"]).name: report["sha256"] for report in _export(tiny_run, settings)}
    assert again == {name: exports[name]["sha256"] for name in again}


@pytest.mark.full
def test_files_with_waveform_input_are_the_same_bytes_twice_as_well(tiny_run: Run, tmp_path: Path) -> None:
    graph = GraphOptions(input_kind="waveform", batch="1")
    twice = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        settings = ExportSettings(tuple(FORMATS.values()), ("int8",), folder, calibration_clips=40, graph=graph)
        twice.append([report["sha256"] for report in _export(tiny_run, settings)])
    assert twice[0] == twice[1]


def test_a_network_with_its_own_order_of_recipes_gives_the_reason(
    tiny_run: Run, copy_of: Callable[[Run], Run], tmp_path: Path
) -> None:
    run = copy_of(tiny_run)
    card = run.card()
    run.card_json.unlink()
    run.card_json.write_text(card.replace(network={"architecture": "mobilenet_v3_small"}).to_json(), "utf-8")
    (report,) = _export(run, ExportSettings(TFLITE, output=tmp_path / "out", calibration_clips=8))
    assert report["recipe"] == "float16"
    assert "mobilenet_v3_small: its hard-swish layers" in report["reason"]
    assert "windows of the test split" in report["reason"], "one recipe and float32 need no split of their own"


def test_float32_is_taken_where_the_only_other_recipe_fails(
    tiny_run: Run, copy_of: Callable[[Run], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLERANCES, "float16", Tolerance(top1_agreement=1.1))
    run = copy_of(tiny_run)
    card = run.card()
    run.card_json.unlink()
    run.card_json.write_text(card.replace(network={"architecture": "musicnn"}).to_json(), "utf-8")
    (report,) = _export(run, ExportSettings(TFLITE, output=tmp_path / "out", calibration_clips=8))
    assert (report["recipe"], report["parity"]["passed"]) == ("float32", True)
    assert "float16 failed (" in report["reason"]


def test_without_a_recipe_the_first_within_tolerance_on_validation_is_taken(tiny_run: Run, tmp_path: Path) -> None:
    (report,) = _export(tiny_run, ExportSettings(TFLITE, output=tmp_path, calibration_clips=40))
    assert Path(report["file"]).name == "tiny.int8.tflite"
    assert "taking int8" in report["reason"]
    assert "validation split" in report["reason"]
    assert report["parity"]["split"] == "test"


def test_a_recipe_that_fails_on_validation_is_rejected_with_the_reason(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(top1_agreement=1.1))
    (report,) = _export(tiny_run, ExportSettings(TFLITE, output=tmp_path, calibration_clips=40))
    assert report["recipe"] == "dynamic"
    assert "taking dynamic" in report["reason"]
    assert "int8 failed (" in report["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.dynamic.tflite", "tiny.dynamic.tflite.sha256"]


def test_a_failure_is_in_the_name_and_the_card_and_the_earlier_file_goes(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.float32.tflite").write_bytes(b"of an earlier model")
    monkeypatch.setattr(parity_reference, "compare", _failing)
    settings = ExportSettings(TFLITE, ("none",), tmp_path, calibration_clips=8, force=True)
    (report,) = _export(tiny_run, settings)
    assert not report["parity"]["passed"]
    assert [path.name for path in tmp_path.iterdir()] == [
        "tiny.float32.FAILED.tflite",
        "tiny.float32.FAILED.tflite.sha256",
    ]
    card = open_interpreter(report["file"]).card
    assert card.export["parity"]["passed"] is False
    assert "failed its parity check" in (card.warning or "")


def test_an_interrupted_writing_leaves_the_file_of_before(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tiny.float32.tflite"
    file.write_bytes(b"precious")

    def interrupted(graph: Path, card: Any, destination: Path) -> None:
        write_with_card(graph, card, destination)
        if destination.parent == tmp_path:
            raise KeyboardInterrupt

    monkeypatch.setattr(exporter, "write_with_card", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _export(tiny_run, ExportSettings(TFLITE, ("none",), tmp_path, calibration_clips=8, force=True))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == b"precious"


def test_an_existing_file_is_refused_before_any_work_and_left_alone(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tiny.int8.tflite"
    file.write_bytes(b"precious")
    monkeypatch.setattr(exporter, "Exporter", None)
    for quantize in (("int8",), ()):
        with pytest.raises(TmgcError, match="overwritten with --force only"):
            _export(tiny_run, ExportSettings(TFLITE, quantize, tmp_path))
    assert file.read_bytes() == b"precious"


def test_a_file_has_one_entry_in_parity_json_however_its_folder_was_given(
    tiny_run: Run, copy_of: Callable[[Run], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_of(tiny_run)
    monkeypatch.chdir(run.folder.parent)
    for folder in (run.exports, Path(run.folder.name) / "exports"):
        _export(run, ExportSettings(TFLITE, ("none",), folder, calibration_clips=8, force=True))
    assert [report["file"] for report in read_parity_json(run.parity_json)] == ["exports/copy.float32.tflite"]


def test_files_are_run_with_as_many_threads_as_this_process_may_use_cores(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    def opened(path: Path, *, threads: int, engine: str | None) -> Any:
        used.append(threads)
        return open_interpreter(path, threads=threads, engine=engine)

    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3})
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr(parity, "open_interpreter", opened)
    _export(tiny_run, ExportSettings(TFLITE, ("none",), tmp_path, calibration_clips=8))
    assert used == [1]


@pytest.mark.full
def test_a_killed_export_leaves_nothing_outside_its_run_and_the_next_one_cleans_up(
    tiny_run: Run, copy_of: Callable[[Run], Run], tmp_path: Path
) -> None:
    run, temporary = copy_of(tiny_run), tmp_path / "temporary"
    temporary.mkdir()
    command = (sys.executable, "-c", "from export.cli import main; main()", run.folder, "--quantize", "int8")
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.startswith("Quantising") for line in process.stderr)
        process.kill()
    assert list(run.folder.glob(".part-work-*/float32.tflite"))
    assert not list(temporary.iterdir())
    _export(run, ExportSettings(TFLITE, ("none",), calibration_clips=8))
    assert not list(run.folder.glob(".part-*"))


def _export(run: Run, settings: ExportSettings) -> list[dict[str, Any]]:
    with open_run(run) as source:
        return export_model(source, settings)


def _failing(recipe: str, inputs: Any, keras: Any, file: Any, **details: Any) -> ParityReport:
    return compare(recipe, inputs, keras, np.roll(file, 1, axis=1), **details)


@pytest.mark.full
def test_a_network_with_a_spectrogram_of_its_own_is_evaluated_and_exported_with_waveform_input(tmp_path: Path) -> None:
    run = tiny_trained_run(tmp_path, architecture="tiny_waveform")
    assert run.card().input_kind == "waveform"
    dataset = read_dataset(run)
    assert evaluate(dataset, "test", robustness=True).clip_accuracy > 0.6
    targets = ExportSettings(TFLITE, quantize=("float16", "none"))
    with open_run(run) as source:
        reports = export_model(source, targets)
    passed = {Path(report["file"]).name: report["parity"]["passed"] for report in reports}
    assert passed == {"tiny.waveform.float16.tflite": True, "tiny.waveform.float32.tflite": True}
    classifier = GenreClassifier.open(reports[0]["file"])
    clips = dataset.of("test")
    heard = [int(classifier.classify(dataset.samples(clip)).probabilities.argmax()) for clip in clips]
    assert (np.array(heard) == dataset.labels(clips)).mean() > 0.6
