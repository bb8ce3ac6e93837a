from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_runtime.interpreters import open_interpreter
from export.cli import main
from export.parity import TOLERANCES, Tolerance
from export.report import read_parity_json
from tests.conftest import tone
from tests.export.conftest import Reports
from train.run import Run


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def run(tiny_run: Run, copy_of: Callable[[Run], Run]) -> Run:
    """A trained run that may be written into."""
    return copy_of(tiny_run)


def test_an_export_ends_with_the_files_on_stdout_and_the_next_step(run: Run) -> None:
    result = _call(str(run.folder), "--quantize", "none", "--calibration", "8")
    file = run.exports / "copy.float32.tflite"
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{file}\n"
    assert result.stderr.splitlines()[-1] == f"Listen with it: tmgc-listen song.mp3 --model {file}"
    assert "Converting the network to TFLite" in result.stderr
    assert [report["file"] for report in read_parity_json(run.parity_json)] == ["exports/copy.float32.tflite"]


def test_json_is_one_document_on_stdout(run: Run) -> None:
    result = _call(str(run.folder), "--format", "onnx", "--quantize", "none", "--calibration", "8", "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == 3
    assert [report["recipe"] for report in document["reports"]] == ["float32"]


def test_a_failure_exits_with_1_and_names_the_worst_clips(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOLERANCES, "float32", Tolerance(top1_agreement=1.1))
    result = _call(str(run.folder), "--quantize", "none", "--calibration", "8")
    assert result.exit_code == 1
    assert result.stdout == f"{run.exports / 'copy.float32.FAILED.tflite'}\n"
    assert "worst clips: " in result.stderr
    assert "tmgc-listen" not in result.stderr


def test_a_file_with_waveform_input_listens(run: Run, tmp_path: Path) -> None:
    import soundfile

    from edge_runtime.cli.listen import main as listen

    result = _call(str(run.folder), "--input", "waveform", "--quantize", "int8", "--calibration", "40", "--json")
    assert result.exit_code == 0, result.output
    (report,) = json.loads(result.stdout)["reports"]
    assert report["file"] == str(run.exports / "copy.waveform.int8.tflite")
    assert report["input_kind"] == report["parity"]["input_kind"] == "waveform"
    soundfile.write(tmp_path / "song.wav", tone(2, sample_rate=8_000), 8_000)
    listened = CliRunner().invoke(
        listen, [str(tmp_path / "song.wav"), "--model", report["file"], "--json", "--hop", "0.5"]
    )
    assert listened.exit_code == 0, listened.output
    windows = [json.loads(line) for line in listened.stdout.splitlines()]
    assert [line["type"] for line in windows] == ["window"] * 4 + ["summary"]
    assert sum(windows[0]["probabilities"].values()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "a run folder must exist"),
        (["--quantize", "int8"], "a run folder is needed"),
        (["--quantize", "int88"], "Did you mean int8"),
        (["--format", "onnx", "--quantize", "float16"], "onnx files can be quantised as none, dynamic, int8"),
        (["--calibration", "0"], "from 1 to 5000 clips"),
        (["--calibration", "5001"], "from 1 to 5000 clips"),
        (["--calibration", "8", "--quantize", "none", "--keep-float", "dense"], "for recipes that quantise"),
        (["--calibration", "8", "--opset", "17"], "--opset 17 is for onnx files"),
        (["--threads", "0"], "0 is not in the range"),
        (["--format", "onnx", "--opset", "99"], "must lie in 13 to 18, got 99"),
        (["--format", "onnx", "--input", "waveform", "--batch", "dynamic"], "--batch dynamic is for images"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--format" in arguments or "--calibration" in arguments:
        arguments = [str(run.folder), *arguments]
    result = _call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_operators_of_keep_float_are_in_the_card(run: Run) -> None:
    result = _call(str(run.folder), "--quantize", "dynamic", "--calibration", "8", "--keep-float", "dense")
    assert result.exit_code == 0, result.output
    assert open_interpreter(run.exports / "copy.dynamic.tflite").card.export["keep_float"] == ["dense"]


def test_a_pattern_that_matches_no_operator_is_refused_with_similar_names(run: Run) -> None:
    result = _call(str(run.folder), "--quantize", "dynamic", "--calibration", "8", "--keep-float", "densse")
    assert result.exit_code == 2
    assert (
        "--keep-float densse matches no operator of the network. Similar names: dense" in result.stderr.splitlines()[-1]
    )
    assert not run.exports.exists()


def test_an_onnx_file_has_the_opset_and_the_batch_that_were_asked_for(run: Run) -> None:
    options = ["--format", "onnx", "--quantize", "none", "--opset", "15", "--batch", "1", "--calibration", "8"]
    result = _call(str(run.folder), *options)
    assert result.exit_code == 0, result.output
    interpreter = open_interpreter(run.exports / "copy.float32.onnx")
    assert interpreter.input.shape == (1, 32, 32, 3)
    assert (interpreter.card.export["opset"], interpreter.card.export["batch"]) == (15, "1")


def test_an_unknown_format_gets_the_list(run: Run) -> None:
    result = _call(str(run.folder), "--format", "coreml")
    assert result.exit_code == 2
    assert "'tflite', 'onnx', 'all'" in result.stderr


def test_a_run_without_a_model_is_refused(run: Run) -> None:
    run.model.unlink()
    result = _call(str(run.folder))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: a trained run has a model.keras")


def test_the_newest_trained_run_is_the_default(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    run.folder.rename(tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    result = _call("--quantize", "dynamic", "--calibration", "8")
    assert result.exit_code == 0, result.output
    assert result.stdout == "runs/mine/exports/mine.dynamic.tflite\n"


def test_help_is_quick_since_it_imports_no_heavy_library() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom export.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print(*sorted({'tensorflow', 'keras', 'onnx', 'onnxruntime', 'tf2onnx', 'ai_edge_litert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_failed_file_makes_the_listener_warn(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOLERANCES, "dynamic", Tolerance(top1_agreement=1.1))
    _call(str(run.folder), "--format", "onnx", "--quantize", "dynamic", "--calibration", "8")
    card = open_interpreter(run.exports / "copy.dynamic.FAILED.onnx").card
    assert "do not trust its predictions" in (card.warning or "")


def _inspect(*arguments: str | Path) -> Result:
    return _call("inspect", *map(str, arguments))


def test_inspect_prints_json_as_one_document(exports: Reports) -> None:
    document = json.loads(_inspect(exports["tiny.float16.tflite"]["file"], "--json").stdout)
    assert document["schema"] == 3
    assert document["graph"]["weights"]["float16"] > 10_000


@pytest.mark.parametrize("name", ["tiny.int8.tflite", "tiny.int8.onnx"])
def test_inspect_refuses_a_damaged_file_in_one_line(name: str, exports: Reports, tmp_path: Path) -> None:
    content = Path(exports[name]["file"]).read_bytes()
    file = tmp_path / name
    file.write_bytes(content[: len(content) // 2])
    result = _inspect(file)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")


def test_inspect_refuses_a_missing_file() -> None:
    result = _inspect("nowhere.tflite")
    assert result.exit_code == 2
    assert "there is no file nowhere.tflite" in result.stderr


def test_a_run_folder_with_the_name_of_a_subcommand_is_reachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inspect").mkdir()
    monkeypatch.chdir(tmp_path)
    result = _call("./inspect")
    assert result.exit_code == 2
    assert "a prepared run holds dataset.csv" in result.stderr


def test_help_lists_the_subcommand() -> None:
    assert "inspect  Print what an exported file contains." in _call("--help").stdout
