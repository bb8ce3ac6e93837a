"""``tmgc-listen doctor`` as its user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.conftest import tone
from tests.edge_runtime.factories import listen_command
from tests.edge_runtime.fake_portaudio import FakePortAudio
from tests.edge_runtime.virtual_microphone import VirtualMicrophone

REFUSED = 2
CHECKS = ["system", "Python", "memory", "temperature", "interpreter"]
CHECKS += ["model", "XNNPACK", "golden-windows", "engines", "self-test"]


@pytest.fixture
def microphone(fake_portaudio: Callable[..., FakePortAudio]) -> None:
    """One that works."""
    portaudio = fake_portaudio("USB")
    portaudio.on_start = lambda stream: stream.play(tone(3, sample_rate=22_050))


@pytest.mark.usefixtures("microphone")
def test_json_holds_every_check_and_the_exit_code_follows_the_problems(models: dict[str, Path]) -> None:
    done = listen_command("doctor", "--model", models["tflite"], "--json")
    findings = json.loads(done.stdout)["findings"]
    assert [finding["check"] for finding in findings] == [*CHECKS, "microphones", "capture"]
    problems = [finding for finding in findings if finding["state"] == "problem"]
    assert done.exit_code == (1 if problems else 0), done.stderr


@pytest.mark.usefixtures("microphone")
def test_a_line_a_check_with_its_state_first(models: dict[str, Path]) -> None:
    lines = listen_command("doctor", "--model", models["tflite"]).stdout.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [*CHECKS, "microphones", "capture"]
    assert {line.split()[0] for line in lines} <= {"ok", "warning", "problem"}


@pytest.mark.usefixtures("microphone")
def test_a_locale_that_lacks_letters_of_a_path_gets_similar_ones_and_json_is_utf_8(tmp_path: Path) -> None:
    arguments = ("doctor", "--model", tmp_path / "ışık.tflite")
    assert "isik.tflite" in listen_command(*arguments, charset="latin-1").stdout
    document = listen_command(*arguments, "--json", charset="latin-1").stdout_bytes.decode("utf-8")
    assert "ışık.tflite" in document


@pytest.mark.usefixtures("microphone")
def test_a_missing_model_is_a_problem_and_the_other_checks_go_on(tmp_path: Path) -> None:
    done = listen_command("doctor", "--model", tmp_path / "none.tflite")
    assert done.exit_code == 1
    assert any(line.startswith("problem  model:") for line in done.stdout.splitlines())
    assert any("microphone" in line for line in done.stdout.splitlines())


def test_a_missing_microphone_is_a_problem_with_the_advice(
    fake_portaudio: Callable[..., FakePortAudio], models: dict[str, Path]
) -> None:
    fake_portaudio()
    done = listen_command("doctor", "--model", models["tflite"])
    assert done.exit_code == 1
    assert "sudo usermod -aG audio" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [("--nonsense",), ("file.wav",)])
def test_bad_usage_is_refused(arguments: tuple[str, ...]) -> None:
    done = listen_command("doctor", *arguments)
    assert done.exit_code == REFUSED
    assert not done.stdout


CAPTURE = """
import json, sys
from dataclasses import asdict
from edge_runtime.doctor import check_level, record
from edge_runtime.sources.portaudio import find_device
device = find_device(None)
print(json.dumps(asdict(check_level(record(device, 3.0), sample_rate=device.sample_rate))))
"""


def test_a_microphone_is_recorded_for_its_level(virtual_microphone: VirtualMicrophone, tmp_path: Path) -> None:
    def capture() -> dict[str, str]:
        command = [sys.executable, "-c", CAPTURE]
        done = subprocess.run(command, capture_output=True, check=True, env=virtual_microphone.environment)
        return dict(json.loads(done.stdout))

    assert capture()["state"] == "warning"
    soundfile.write(tmp_path / "song.wav", tone(20, sample_rate=44_100, level=0.5), 44_100)
    virtual_microphone.play(tmp_path / "song.wav")
    playing = capture()
    assert playing["state"] == "ok"
    assert -20 < float(playing["found"].split()[0]) < 0
