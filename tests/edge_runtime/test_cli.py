"""``tmgc-listen`` as its user calls it: a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from tests.conftest import tone

ONE_LINE = 1
NOT_FOR_THE_EDGE = {
    "tensorflow",
    "keras",
    "librosa",
    "matplotlib",
    "scipy",
    "sklearn",
    "PIL",
    "onnx",
    "train",
    "export",
}


def tmgc_listen(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from edge_runtime.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def json_lines(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        jsonschema.validate(line, json.loads(JSON_LINES_SCHEMA.read_text("utf-8")))
    return lines


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "şarkı ışığı.ogg"
    soundfile.write(path, tone(7, sample_rate=44_100), 44_100)
    return path


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_json_is_an_object_a_window_and_a_summary(form: str, song: Path, models: dict[str, Path]) -> None:
    done = tmgc_listen(song, "--model", models[form], "--json", "--hop", 2)
    assert done.returncode == 0, done.stderr
    *windows, summary = json_lines(done.stdout)
    assert [(line["type"], line["start_s"]) for line in windows] == [("window", 0.0), ("window", 2.0), ("window", 4.0)]
    assert all(set(window["probabilities"]) == {"Halk", "Caz", "Rock"} for window in windows)
    assert summary["type"] == "summary"
    assert summary["windows"] == 3
    assert summary["source"] == str(song)
    assert summary["model"]["format"] == form


def test_a_person_gets_a_line_a_window_and_one_for_the_song(song: Path, models: dict[str, Path]) -> None:
    done = tmgc_listen(song, "--model", models["tflite"])
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert len(lines) == 6 + 1
    assert lines[0].startswith("  0:00.0 -   0:02.0")
    assert lines[-1].startswith(f"{song}: ")


def test_every_recording_is_answered(recordings: list[Path], models: dict[str, Path]) -> None:
    done = tmgc_listen(*recordings, "--model", models["tflite"], "--json", "--hop", 2)
    assert done.returncode == 0, done.stderr
    summaries = [line for line in json_lines(done.stdout) if line["type"] == "summary"]
    assert [line["source"] for line in summaries] == [str(path) for path in recordings]


def test_among_several_files_a_bad_one_is_an_event_and_the_rest_go_on(
    song: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.mp3").write_text("no music")
    done = tmgc_listen(tmp_path / "bad.mp3", song, "--model", models["tflite"], "--json")
    lines = json_lines(done.stdout)
    assert done.returncode == 2
    assert lines[0]["event"] == "file refused"
    assert lines[-1]["type"] == "summary"


def test_silence_ends_with_1(models: dict[str, Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(100_000), 22_050)
    done = tmgc_listen(tmp_path / "silence.wav", "--model", models["tflite"], "--json")
    assert done.returncode == 1
    assert json_lines(done.stdout)[-1]["genre"] == "silence"


def test_a_truncated_song_is_answered_with_a_warning(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 10 * 22_050), 22_050)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = tmgc_listen(path, "--model", models["tflite"], "--json")
    assert done.returncode == 0
    assert f"warning: {path} " in done.stderr
    assert json_lines(done.stdout)[-1]["windows"] >= 2


BAD_INPUT = {
    "a missing song": (["none.mp3"], "there is no none.mp3"),
    "an empty song": (["empty.wav"], "is empty"),
    "a song that is text": (["text.mp3"], "is not one that can be decoded"),
    "a folder": (["."], "is a folder"),
    "a song below one window": (["short.wav"], "at least one window of 2.0 s: short.wav holds 1.50 s"),
    "a missing model": (["song.wav", "--model", "none.tflite"], "there is no file none.tflite"),
    "a model that is none": (["song.wav", "--model", "text.mp3"], "ends in .tflite or .onnx"),
    "no model anywhere": (["song.wav"], "none under ./runs"),
    "a hop of nothing": (["song.wav", "--model", "MODEL", "--hop", "0"], "hop must be at least one frame"),
    "a hop that is no number": (["song.wav", "--hop", "nan"], "hop must be a number of seconds"),
    "an endless hop": (["song.wav", "--hop", "inf"], "hop must be a number of seconds"),
    "a silence that is no number": (["song.wav", "--silence", "nan"], "level of silence must be a number"),
    "samples without a header": (["samples.raw"], "is not one that can be decoded"),
    "a negative hop": (["song.wav", "--model", "MODEL", "--hop", "-1"], "hop must be at least one frame"),
    "a threshold above 1": (["song.wav", "--model", "MODEL", "--threshold", "7"], "threshold must lie in [0, 1]"),
    "no threads": (["song.wav", "--model", "MODEL", "--threads", "0"], "threads must be at least 1"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_line_and_exit_code_2(case: str, models: dict[str, Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", tone(3, sample_rate=8_000), 8_000)
    soundfile.write(tmp_path / "short.wav", tone(1.5, sample_rate=8_000), 8_000)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("no music")
    (tmp_path / "samples.raw").write_bytes(bytes(10_000))
    arguments, said = BAD_INPUT[case]
    if "--model" not in arguments and case != "no model anywhere":
        arguments = [*arguments, "--model", "MODEL"]
    done = tmgc_listen(*(str(models["tflite"]) if item == "MODEL" else item for item in arguments), folder=tmp_path)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2
    assert len(errors) == ONE_LINE
    assert said in errors[0]
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_the_edge_imports_no_training_library(models: dict[str, Path], song: Path) -> None:
    program = (
        "import sys; import edge_runtime; from edge_runtime.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"print('imported:', {NOT_FOR_THE_EDGE} & set(sys.modules))"
    )
    arguments = [str(song), "--model", str(models["tflite"])]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["imported: set()"], done.stderr
