from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import TmgcError
from export.inspection import inspected, lines_of
from tests.export.test_exporting import NAMES

ROOT = Path(__file__).parents[2]
WITHOUT = "import sys\nfor name in {names}: sys.modules[name] = None\nfrom export.cli import main\nmain()"
HEAVY = ("tensorflow", "keras", "onnx", "tf2onnx", "litert_quantizer", "librosa", "matplotlib", "sklearn", "scipy")


def _inspect(*arguments: str | Path, without: tuple[str, ...] = HEAVY) -> subprocess.CompletedProcess[str]:
    """The command where some libraries are not installed."""
    command = [sys.executable, "-c", WITHOUT.format(names=without), "inspect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_everything_about_a_file_is_told(name: str, exports: dict[str, dict[str, Any]]) -> None:
    report = exports[name]
    document = inspected(Path(report["file"]))
    assert document["sha256"] == report["sha256"]
    assert (document["input"]["type"], document["input"]["shape"][1:]) == ("uint8", [32, 32, 3])
    assert (document["output"]["type"], document["output"]["shape"][1:]) == ("float32", [4])
    assert document["graph"]["operators"] == report["operators"]
    assert document["card"]["export"]["recipe"] == report["recipe"]
    lines = "\n".join(lines_of(document))
    for said in ("Halk, Klasik, Rap, Rock", "picture, uint8", "held: ", report["sha256"], "demonstration"):
        assert said in lines


def test_a_tflite_file_is_read_with_nothing_but_the_base(exports: dict[str, dict[str, Any]]) -> None:
    done = _inspect(exports["tiny.int8.tflite"]["file"])
    assert done.returncode == 0, done.stderr
    assert "CONV_2D" in done.stdout
    assert " int8" in done.stdout


def test_onnx_operators_need_an_extra_and_the_line_says_so(exports: dict[str, dict[str, Any]]) -> None:
    done = _inspect(exports["tiny.int8.onnx"]["file"])
    assert done.returncode == 0, done.stderr
    (operators,) = [line for line in done.stdout.splitlines() if line.startswith("operators")]
    assert "pip install 'tmgc[export]'" in operators
    assert "Halk, Klasik, Rap, Rock" in done.stdout


def test_json_is_one_document(exports: dict[str, dict[str, Any]]) -> None:
    done = _inspect(exports["tiny.float16.tflite"]["file"], "--json")
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["graph"]["weights"]["float16"] > 10_000


@pytest.mark.parametrize("name", ["tiny.int8.tflite", "tiny.int8.onnx"])
def test_a_damaged_file_is_refused_in_one_line(name: str, exports: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    content = Path(exports[name]["file"]).read_bytes()
    file = tmp_path / name
    file.write_bytes(content[: len(content) // 2])
    done = _inspect(file)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == done.stderr.splitlines()[-1:]
    assert "Traceback" not in done.stderr


def test_a_file_without_a_card_is_refused(bench: Any) -> None:
    with pytest.raises(TmgcError, match="must carry its model card"):
        inspected(bench.conversion_cache.float_tflite)


def test_a_missing_file_is_refused() -> None:
    done = _inspect("nowhere.tflite")
    assert done.returncode == 2
    assert "there is no file nowhere.tflite" in done.stderr


def test_a_run_folder_of_that_name_is_still_reachable(tmp_path: Path) -> None:
    (tmp_path / "inspect").mkdir()
    command = [sys.executable, "-c", "from export.cli import main; main()", "./inspect"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 2
    assert "a prepared run holds dataset.csv" in done.stderr
