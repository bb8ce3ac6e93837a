"""The doctor's findings about models, microphones and boards."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime import ModelCard, engine_choice
from edge_runtime.cli.doctor import doctor
from edge_runtime.doctor import (
    OK,
    PROBLEM,
    WARNING,
    check_acceleration,
    check_bits,
    check_devices,
    check_engines,
    check_golden_windows,
    check_interpreter,
    check_latency,
    check_level,
    check_memory,
    check_microphone,
    check_model,
    check_python,
    check_temperature,
    self_test,
)
from edge_runtime.engine_choice import open_verified
from edge_runtime.interpreters import litert, open_interpreter
from edge_runtime.models import SMALL_MODEL
from edge_runtime.sources.portaudio import Device
from tests.conftest import tone
from tests.edge_runtime.fake_portaudio import FakePortAudio


def test_golden_windows_that_are_missing_or_missed_are_told(
    brief_model: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_golden_windows(open_verified(brief_model)).state == WARNING
    invoke = litert.LiteRTInterpreter.invoke
    monkeypatch.setattr(litert.LiteRTInterpreter, "invoke", lambda self, window: invoke(self, window)[::-1])
    (finding,) = check_model(models["tflite"])
    assert (finding.check, finding.state) == ("model", PROBLEM)
    assert "golden window 'loud'" in finding.found


@pytest.fixture
def both(models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ONNX file beside the TFLite file of the same network, and nothing that is remembered of them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_choice, "RACE_SECONDS", 0.03)
    for path in models.values():
        shutil.copy(path, tmp_path)
    return tmp_path / models["onnx"].name


def test_the_ways_to_run_a_model_are_told_with_their_times_now_and_before(both: Path, tmp_path: Path) -> None:
    finding = check_engines(open_verified(both, threads=1))
    assert (finding.state, finding.fix) == (OK, ""), ascii(finding.found)
    figures = r"\S+ [\d.]+ ms, \d+ MB"
    ways = "tiny.float32.onnx by onnxruntime", "tiny.float32.tflite by ai-edge-litert"
    for way in ways:
        assert re.search(rf"{way} {figures};", finding.found)
    assert finding.found.endswith(f"; on 1 thread(s), remembered in {tmp_path / 'cache/tmgc/engines.json'}")
    again = check_engines(open_verified(both, threads=1, again=True))
    for way in ways:
        assert re.search(rf"{way} {figures} \(\d{{4}}-\d\d-\d\d \d\d:\d\d: [\d.]+ ms\);", again.found), again.found
    (tmp_path / "cache/tmgc/engines.json").unlink()
    (tmp_path / "cache/tmgc").rmdir()
    (tmp_path / "cache/tmgc").touch()
    assert check_engines(open_verified(both, threads=1)).found.endswith("; on 1 thread(s), not remembered")


def test_an_engine_that_is_left_out_is_a_warning_where_it_is_the_models_first_one(both: Path) -> None:
    other = both.with_suffix(".tflite")
    content = bytearray(other.read_bytes())
    content[300] ^= 1
    other.write_bytes(content)
    finding = check_engines(open_verified(both, threads=1))
    assert (finding.state, finding.fix) == (OK, "")
    left_out = "tiny.float32.tflite by litert is left out: a model file must be as it was exported"
    assert left_out in finding.found
    finding = check_engines(open_verified(other, threads=1))
    assert finding.state == WARNING
    assert left_out in finding.found


def test_an_engine_that_fails_in_this_process_only_is_left_out_too(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    invoke = litert.LiteRTInterpreter.invoke
    monkeypatch.setattr(litert.LiteRTInterpreter, "invoke", lambda self, window: invoke(self, window)[::-1])
    finding = check_engines(open_verified(both.with_suffix(".tflite"), threads=1))
    assert finding.state == WARNING
    assert finding.found.startswith("tiny.float32.onnx by ")
    assert "tiny.float32.tflite by litert is left out: a model must compute here what it did" in finding.found


def test_the_threads_and_the_engine_of_a_start_are_what_is_examined(both: Path) -> None:
    done = CliRunner().invoke(doctor, ["--model", str(both), "--threads", "2", "--engine", "litert", "--json"])
    found = {each["check"]: each["found"] for each in json.loads(done.stdout)["findings"]}
    assert found["XNNPACK"] == "runs the network on 2 thread(s)"
    assert found["engines"].startswith("tiny.float32.tflite by ai-edge-litert ")
    assert "; on 2 thread(s), remembered in " in found["engines"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--threads", "0"), "threads must be at least 1"),
        (("--engine", "fastest"), "an engine must be one of auto, litert"),
    ],
)
def test_options_that_no_start_could_have_are_refused(options: tuple[str, ...], said: str, both: Path) -> None:
    done = CliRunner().invoke(doctor, ["--model", str(both), *options])
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_interpreter_is_named_with_its_version() -> None:
    found = check_interpreter()
    assert found.state == OK
    assert found.found.startswith("ai-edge-litert ")
    assert found.found[-1].isdigit()


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_a_sound_model_passes_all_checks(form: str, models: dict[str, Path]) -> None:
    findings = list(check_model(models[form]))
    assert [(finding.check, finding.state) for finding in findings] == [
        ("model", OK),
        ("XNNPACK", OK),
        ("golden-windows", OK),
        ("engines", OK),
        ("self-test", OK),
    ]
    assert "Halk, Caz, Rock" in findings[0].found
    assert "hop 1.0 s: keeps up" in findings[-1].found
    assert "hop 2.0 s: keeps up" in findings[-1].found


def test_a_network_without_xnnpack_is_noticed(models: dict[str, Path]) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    bare: Any = open_interpreter(models["tflite"])
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    bare._interpreter = Interpreter(str(models["tflite"]), experimental_op_resolver_type=plain)
    assert check_acceleration(bare).state == WARNING


def test_a_demonstration_model_is_warned_of(graphs: dict[str, Path], card: ModelCard, tmp_path: Path) -> None:
    from export.metadata import write_with_card

    demonstration = replace(card, demonstration=True)
    write_with_card(graphs["tflite"], demonstration, tmp_path / "demo.tflite")
    first = next(check_model(tmp_path / "demo.tflite"))
    assert first.state == WARNING
    assert "demonstration" in first.found


def test_an_export_that_differs_from_keras_is_to_be_exported_again(
    graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    from export.metadata import write_with_card

    failed = replace(card, demonstration=True, export={"recipe": "int8", "parity": {"passed": False}})
    write_with_card(graphs["tflite"], failed, tmp_path / "failed.tflite")
    first = next(check_model(tmp_path / "failed.tflite"))
    assert first.state == WARNING
    assert "failed its parity check" in first.found
    assert first.fix == "export it again: tmgc-export, or take another recipe"


def test_a_damaged_model_is_a_problem_and_the_only_line(models: dict[str, Path], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(models["tflite"].read_bytes()[:2000])
    (finding,) = check_model(damaged)
    assert finding.state == PROBLEM
    assert "copy it again" in finding.found


def test_without_any_model_the_small_one_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, *_ = check_model(None)
    assert model.state == WARNING
    assert str(SMALL_MODEL) in model.found


def test_outputs_that_are_no_probabilities_are_a_problem(models: dict[str, Path]) -> None:
    broken: Any = open_interpreter(models["onnx"])
    broken.invoke = lambda image: np.full(3, np.nan, np.float32)
    assert self_test(broken).state == PROBLEM


@pytest.mark.parametrize(
    ("latencies_ms", "state", "message"),
    [
        ([900.0, 100.0, 80.0], OK, "hop 1.0 s: keeps up 10.0 times over, hop 2.0 s: keeps up 20.0 times over"),
        ([900.0, 1600.0, 900.0], WARNING, "hop 1.0 s: does not keep up, hop 2.0 s: keeps up 1.2 times over"),
        ([900.0, 2100.0, 2000.0], PROBLEM, "hop 1.0 s: does not keep up, hop 2.0 s: does not keep up"),
    ],
)
def test_the_slowest_window_once_warm_decides_which_hops_keep_up(
    latencies_ms: list[float], state: str, message: str
) -> None:
    found = check_latency(latencies_ms)
    assert found.state == state
    assert found.found.endswith(message)
    assert bool(found.fix) == (state != OK)


def test_no_check_imports_a_training_library(models: dict[str, Path]) -> None:
    program = (
        "import sys\nfrom edge_runtime.cli.listen import main\n"
        "try: main(['doctor', '--model', sys.argv[1]])\nexcept SystemExit: pass\n"
        "print('imported:', {'tensorflow', 'keras', 'librosa', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, str(models["tflite"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["imported: set()"], done.stderr


@pytest.mark.parametrize(
    ("level", "state", "fix"), [(0.1, OK, ""), (1e-4, WARNING, "turn it up"), (1.0, WARNING, "turn it down")]
)
def test_a_level_is_fine_too_low_or_clipped(level: float, state: str, fix: str) -> None:
    found = check_level(np.stack([tone(3, sample_rate=16_000, level=level)] * 2, axis=1), sample_rate=16_000)
    assert found.state == state
    assert found.fix.startswith(fix)
    assert "dBFS" in found.found


def test_a_microphone_that_delivers_nothing_is_a_problem() -> None:
    assert check_level(np.zeros((0, 1), np.float32), sample_rate=16_000).state == PROBLEM


@pytest.mark.parametrize("offset", [-0.3, 0.003])
def test_a_quiet_room_is_silent_with_an_offset_too_which_is_told(offset: float) -> None:
    room = np.random.default_rng(0).normal(0, 1e-4, (48_000, 2))
    room += [offset, offset / 2]
    found = check_level(room.astype(np.float32), sample_rate=16_000)
    assert (found.state, found.found) == (WARNING, f"-83.0 dBFS, offset {abs(offset):.3f} (removed): silence")


def test_an_inverted_channel_is_told_with_the_advice() -> None:
    sound = tone(3, sample_rate=16_000, level=0.1)
    found = check_level(np.stack([sound, -0.9 * sound], axis=1), sample_rate=16_000)
    assert found.state == WARNING
    assert found.found == "-23.0 dBFS, channels that cancel each other (the louder one is used)"
    assert found.fix.startswith("one channel is inverted")


def test_microphones_are_listed_with_their_rates() -> None:
    found = check_devices([Device(2, "USB Mic (hw:1,0)", 1, 48_000, default=True)])
    assert (found.state, found.found) == (OK, "2: USB Mic (hw:1,0), 48000 Hz")


def test_no_microphone_is_a_problem_with_the_two_usual_reasons(fake_portaudio: Callable[..., FakePortAudio]) -> None:
    fake_portaudio()
    (found,) = check_microphone(None)
    assert found.state == PROBLEM
    assert "plug one in" in found.fix
    assert "usermod -aG audio" in found.fix


def test_the_selected_microphone_is_recorded_for_its_level(fake_portaudio: Callable[..., FakePortAudio]) -> None:
    portaudio = fake_portaudio("onboard", "USB")
    portaudio.on_start = lambda stream: stream.play(tone(3, sample_rate=22_050, level=0.1))
    listed, level = check_microphone("USB")
    assert (listed.state, level.state) == (OK, OK)
    assert [stream.device for stream in portaudio.streams] == [1]
    assert portaudio.streams[0].closed


def test_a_microphone_that_does_not_match_is_a_problem_and_the_others_are_listed(
    fake_portaudio: Callable[..., FakePortAudio],
) -> None:
    fake_portaudio("onboard")
    listed, missing = check_microphone("USB")
    assert (listed.state, missing.state) == (OK, PROBLEM)
    assert "0: onboard" in missing.found


def test_a_64_bit_system_is_well() -> None:
    assert check_bits(64, "aarch64").state == OK


def test_32_bit_programs_on_a_64_bit_kernel_are_a_problem() -> None:
    found = check_bits(32, "aarch64")
    assert found.state == PROBLEM
    assert "64-bit Raspberry Pi OS" in found.fix


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10, 9), PROBLEM), ((3, 11, 2), OK), ((3, 13, 5), OK), ((3, 14, 0), PROBLEM)]
)
def test_python_must_have_wheels(version: tuple[int, ...], state: str) -> None:
    found = check_python(version)
    assert found.state == state
    assert bool(found.fix) == (state == PROBLEM)


def test_this_python_is_well() -> None:
    assert check_python().found == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(("total_mb", "state"), [(416.0, WARNING), (948.0, OK), (8000.0, OK)])
def test_half_a_gigabyte_asks_for_a_small_network(total_mb: float, state: str) -> None:
    assert check_memory(total_mb).state == state


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A folder like ``/sys`` of a Raspberry Pi that is well."""
    (tmp_path / "class/thermal/thermal_zone0").mkdir(parents=True)
    (tmp_path / "class/thermal/thermal_zone0/temp").write_text("51540\n")
    (tmp_path / "devices/platform/soc/soc:firmware").mkdir(parents=True)
    (tmp_path / "devices/platform/soc/soc:firmware/get_throttled").write_text("0\n")
    return tmp_path


def test_a_cool_board_is_well(board: Path) -> None:
    found = check_temperature(board)
    assert (found.state, found.found) == (OK, "52 degrees Celsius")


def test_a_hot_board_needs_cooling(board: Path) -> None:
    (board / "class/thermal/thermal_zone0/temp").write_text("84000\n")
    assert "cool the processor" in check_temperature(board).fix


def test_a_throttled_board_needs_cooling_and_the_reasons_are_listed(board: Path) -> None:
    (board / "devices/platform/soc/soc:firmware/get_throttled").write_text("40004\n")
    found = check_temperature(board)
    assert found.state == WARNING
    assert found.found.endswith("throttling: throttled, throttled since boot")
    assert "cool the processor" in found.fix


def test_under_voltage_needs_another_power_supply(board: Path) -> None:
    (board / "devices/platform/soc/soc:firmware/get_throttled").write_text("50005\n")
    assert "power supply" in check_temperature(board).fix


def test_a_machine_that_tells_no_temperature_is_not_blamed(tmp_path: Path) -> None:
    assert check_temperature(tmp_path).state == OK
