"""``tmgc-listen`` with files and pipes; as a process of its own where signals, pipes or imports matter."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from edge_runtime.cli.listen import SUBCOMMANDS
from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from tests.conftest import tone
from tests.edge_runtime.conftest import LISTEN
from tests.edge_runtime.factories import listen_command

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


def piped_to_listen(content: bytes, *arguments: object, folder: Path | None = None) -> Result:
    """As :func:`listen_command`, with standard input, in a process of its own."""
    command = [*LISTEN, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, input=content, cwd=folder, check=False)
    return Result(CliRunner(), done.stdout, done.stderr, b"", None, done.returncode, None)


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
    done = listen_command(song, "--model", models[form], "--json", "--hop", 2)
    assert done.exit_code == 0, done.stderr
    *windows, summary = json_lines(done.stdout)
    assert [(line["type"], line["start_s"]) for line in windows] == [("window", 0.0), ("window", 2.0), ("window", 4.0)]
    assert all(set(window["probabilities"]) == {"Halk", "Caz", "Rock"} for window in windows)
    assert summary["type"] == "summary"
    assert summary["windows"] == 3
    assert summary["source"] == str(song)
    assert summary["model"]["format"] == form


def test_a_person_gets_a_line_a_window_and_one_for_the_song(song: Path, models: dict[str, Path]) -> None:
    done = listen_command(song, "--model", models["tflite"])
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert len(lines) == 6 + 1
    assert lines[0].startswith("  0:00.0 -   0:02.0")
    assert lines[-1].startswith(f"{song}: ")


def test_every_recording_is_classified(recordings: list[Path], models: dict[str, Path]) -> None:
    done = listen_command(*recordings, "--model", models["tflite"], "--json", "--hop", 20)
    assert done.exit_code == 0, done.stderr
    summaries = [line for line in json_lines(done.stdout) if line["type"] == "summary"]
    assert [line["source"] for line in summaries] == [str(path) for path in recordings]


def test_among_several_files_a_bad_one_is_an_event_and_the_rest_go_on(
    song: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.mp3").write_text("no music")
    done = listen_command(tmp_path / "bad.mp3", song, "--model", models["tflite"], "--json")
    lines = json_lines(done.stdout)
    assert done.exit_code == 2
    assert lines[0]["event"] == "file refused"
    assert lines[-1]["type"] == "summary"


def test_silence_ends_with_1(models: dict[str, Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(100_000), 22_050)
    done = listen_command(tmp_path / "silence.wav", "--model", models["tflite"], "--json")
    assert done.exit_code == 1
    assert json_lines(done.stdout)[-1]["genre"] == "silence"


def test_a_truncated_song_is_classified_with_a_warning(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 10 * 22_050), 22_050)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = listen_command(path, "--model", models["tflite"], "--json")
    assert done.exit_code == 0
    assert f"warning: {path} " in done.stderr
    assert json_lines(done.stdout)[-1]["windows"] >= 2


BAD_INPUT: dict[str, tuple[Any, ...]] = {
    "a missing song": (["none.mp3"], "there is no none.mp3"),
    "an empty song": (["empty.wav"], "is empty"),
    "a song that is text": (["text.mp3"], "must be one that can be decoded"),
    "a folder": (["."], "is a folder"),
    "a song below one window": (["short.wav"], "at least one window of 2.0 s: short.wav holds 1.50 s"),
    "a missing model": (["song.wav", "--model", "none.tflite"], "there is no file none.tflite"),
    "a model that is none": (["song.wav", "--model", "text.mp3"], "ends in .tflite or .onnx"),
    "a hop of nothing": (["song.wav", "--model", "MODEL", "--hop", "0"], "hop must be at least one frame"),
    "a hop that is no number": (["song.wav", "--hop", "nan"], "hop must be a number of seconds"),
    "an endless hop": (["song.wav", "--hop", "inf"], "hop must be a number of seconds"),
    "a silence that is no number": (["song.wav", "--silence", "nan"], "level of silence must be a number"),
    "samples without a header": (["samples.raw"], "must be one that can be decoded"),
    "a negative hop": (["song.wav", "--model", "MODEL", "--hop", "-1"], "hop must be at least one frame"),
    "a threshold above 1": (["song.wav", "--model", "MODEL", "--threshold", "7"], "threshold must lie in [0, 1]"),
    "standard input together with files": (["song.wav", "-"], "name it alone"),
    "a device together with files": (["song.wav", "--device", "USB"], "one source is needed"),
    "a wait for a device together with a pipe": (["-", "--wait-device", "5"], "one source is needed"),
    "a device that is not there": (["--device", "no such device"], "a microphone "),
    "a negative wait": (["--wait-device", "-1"], "0 seconds or longer, got -1.0"),
    "raw samples of a file": (["song.wav", "--raw", "44100,1,s16"], "--raw is for standard input"),
    "raw samples of no known format": (["-", "--raw", "44100,1,mp3"], "--raw is RATE,CHANNELS,FORMAT"),
    "raw samples without channels": (["-", "--raw", "44100,0,s16"], "1 to 256 channels"),
    "no speed": (["song.wav", "--speed", "0"], "--speed must be above 0"),
    "a speed that is no number": (["song.wav", "--speed", "nan"], "--speed must be above 0"),
    "the speed of a microphone": (["--speed", "1"], "--speed is for files"),
    "an empty standard input": (["-"], "it is empty. Does the program that writes it run? (raw samples need their"),
    "a standard input that is text": (["-"], "its content is no sound", b"no music " * 100),
    "a standard input below one window": (["-", "--raw", "8000,1,s16"], "at least one window of 2.0 s", bytes(20_000)),
    "no threads": (["song.wav", "--model", "MODEL", "--threads", "0"], "threads must be at least 1"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_line_and_exit_code_2(
    case: str, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "song.wav", tone(3, sample_rate=8_000), 8_000)
    soundfile.write(tmp_path / "short.wav", tone(1.5, sample_rate=8_000), 8_000)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("no music")
    (tmp_path / "samples.raw").write_bytes(bytes(10_000))
    arguments, message, *piped = BAD_INPUT[case]
    if "--model" not in arguments:
        arguments = [*arguments, "--model", "MODEL"]
    named = [str(models["tflite"]) if item == "MODEL" else item for item in arguments]
    if "-" in named or "--device" in named:
        done = piped_to_listen(piped[0] if piped else b"", *named, folder=tmp_path)
    else:
        monkeypatch.chdir(tmp_path)
        done = listen_command(*named)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.exit_code == 2
    assert len(errors) == ONE_LINE
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is what is piped in")
@pytest.mark.parametrize(
    ("form", "raw"),
    [("wav -ac 2", ()), ("s16le -ar 48000 -ac 1", ("--raw", "48000,1,s16")), ("flac", ())],
    ids=["wav", "raw", "flac"],
)
def test_the_output_of_ffmpeg_is_classified_as_the_file_is(
    form: str, raw: tuple[str, ...], song: Path, models: dict[str, Path]
) -> None:
    command = ["ffmpeg", "-loglevel", "error", "-i", str(song), "-f", *form.split(), "-"]
    piped = subprocess.run(command, capture_output=True, check=True).stdout
    done = piped_to_listen(piped, "-", *raw, "--model", models["tflite"], "--json")
    *windows, summary = json_lines(done.stdout)
    *expected, _ = json_lines(listen_command(song, "--model", models["tflite"], "--json").stdout)
    assert done.exit_code == 0, done.stderr
    assert [window["genre"] for window in windows] == [window["genre"] for window in expected]
    assert (summary["source"], summary["windows"], summary["dropped_windows"]) == ("standard input", len(expected), 0)


def test_a_process_substitution_is_classified_as_the_file_is(song: Path, models: dict[str, Path]) -> None:
    options = [*map(str, ("--model", models["tflite"], "--json"))]
    listening = shlex.join([*map(str, LISTEN), *options])
    command = ["bash", "-c", f"{listening} <(sleep 1; cat {shlex.quote(str(song))})"]
    piped = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    *windows, summary = json_lines(piped)
    *expected, _ = json_lines(listen_command(song, *options).stdout)
    assert [window["genre"] for window in windows] == [window["genre"] for window in expected]
    assert summary["source"].startswith("/dev/fd/")
    assert summary["realtime_factor"] > 0, "the wait before the first sound is not part of the session"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", ["file", "pipe"])
def test_a_signal_ends_every_source_with_a_summary_so_far(
    source: str, number: signal.Signals, models: dict[str, Path], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.wav", tone(60, sample_rate=8_000), 8_000)
    options = [str(tmp_path / "long.wav"), "--speed", "8"] if source == "file" else ["-", "--raw", "22050,1,s16"]
    command = [*LISTEN, *options, "--model", str(models["tflite"]), "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as listening:
        assert listening.stdin
        assert listening.stdout
        if source == "pipe":
            listening.stdin.write(np.full(3 * 22_050, 8_000, "<i2").tobytes())
            listening.stdin.flush()  # and the pipe stays open
        first = listening.stdout.readline()
        listening.send_signal(number)
        rest = listening.stdout.read()
        assert listening.stderr
        assert b"Traceback" not in listening.stderr.read()
    *windows, summary = json_lines((first + rest).decode())
    assert summary["type"] == "summary"
    assert summary["windows"] == len(windows) < 59
    assert listening.returncode == (128 + number if source == "file" else 0)


def test_a_reader_that_has_read_enough_ends_it_quietly(song: Path, models: dict[str, Path]) -> None:
    command = [*LISTEN, str(song), "--model", str(models["tflite"]), "--speed", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listening:
        assert listening.stdout
        assert listening.stderr
        listening.stdout.readline()
        listening.stdout.close()
        message = listening.stderr.read()
    assert "Error" not in message
    assert "Traceback" not in message


def test_the_edge_imports_no_training_library(models: dict[str, Path], song: Path) -> None:
    program = (
        "import sys; import edge_runtime; from edge_runtime.cli.listen import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"print('imported:', {NOT_FOR_THE_EDGE} & set(sys.modules))"
    )
    arguments = [str(song), "--model", str(models["tflite"])]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["imported: set()"], done.stderr


MOST_MODULES = 150
"""Half as many again as click brings along; numpy alone is more. Modules are counted, since seconds depend on the
machine."""

PROGRAM = """
import sys
before = set(sys.modules)
from edge_runtime.cli.listen import main
try: main(sys.argv[1:])
except SystemExit as end: assert end.code == 0, end.code
loaded = set(sys.modules) - before
print(len(loaded), *sorted({name.partition(".")[0] for name in loaded} - sys.stdlib_module_names))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "--version",
        "--help",
        "doctor --help",
        "install-service --help",
        "uninstall-service --help",
    ],
)
def test_what_needs_no_sound_loads_click_and_nothing_else(arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments.split()], capture_output=True, text=True, check=False
    )
    count, *packages = done.stdout.splitlines()[-1].split()
    assert packages == ["click", "edge_runtime"], done.stderr
    assert int(count) < MOST_MODULES


def test_the_package_imports_its_public_names_on_demand() -> None:
    import edge_runtime

    for name in edge_runtime.__all__:
        assert getattr(edge_runtime, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        edge_runtime.nonsense  # noqa: B018


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_a_subcommand_wins_over_a_file_of_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(b"no sound at all")
    assert listen_command(name, "--help").stdout.startswith(f"Usage: tmgc-listen {name} ")
    assert listen_command(f"./{name}", "--help").stdout.startswith("Usage: tmgc-listen [OPTIONS] [FILE...|-]")


def test_the_help_lists_the_subcommands() -> None:
    assert all(f"  {name} " in listen_command("--help").stdout for name in SUBCOMMANDS)
