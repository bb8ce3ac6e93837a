"""``tmgc-listen doctor`` as its user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import soundfile

from tests.conftest import tone
from tests.edge_runtime.virtual_microphone import VirtualMicrophone

REFUSED = 2
CHECKS = ["system", "Python", "memory", "temperature", "interpreter", "model", "XNNPACK", "self-test"]


def doctor(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_json_holds_every_check_and_the_exit_code_follows_the_problems(models: dict[str, Path]) -> None:
    done = doctor("--model", models["tflite"], "--json")
    document = json.loads(done.stdout)
    assert [finding["check"] for finding in document["findings"]][: len(CHECKS)] == CHECKS
    assert document["findings"][len(CHECKS)]["check"].startswith("microphone")
    problems = [finding for finding in document["findings"] if finding["state"] == "problem"]
    assert done.returncode == (1 if problems else 0), done.stderr


def test_a_line_a_check_with_its_state_first(models: dict[str, Path]) -> None:
    lines = doctor("--model", models["tflite"]).stdout.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines][: len(CHECKS)] == CHECKS
    assert {line.split()[0] for line in lines} <= {"ok", "warning", "problem"}


def test_a_missing_model_is_a_problem_and_the_other_checks_go_on(tmp_path: Path) -> None:
    done = doctor("--model", tmp_path / "none.tflite")
    assert done.returncode == 1
    assert any(line.startswith("problem  model:") for line in done.stdout.splitlines())
    assert any("microphone" in line for line in done.stdout.splitlines())


@pytest.mark.parametrize("arguments", [("--nonsense",), ("file.wav",)])
def test_bad_usage_is_refused(arguments: tuple[str, ...]) -> None:
    done = doctor(*arguments)
    assert done.returncode == REFUSED
    assert not done.stdout


def test_a_microphone_is_listened_to_for_its_level(
    virtual_microphone: VirtualMicrophone, models: dict[str, Path], tmp_path: Path
) -> None:
    silent = _capture(doctor("--model", models["tflite"], "--json", environment=virtual_microphone.environment))
    assert silent["state"] == "warning"
    soundfile.write(tmp_path / "song.wav", tone(20, sample_rate=44_100, level=0.5), 44_100)
    virtual_microphone.play(tmp_path / "song.wav")
    heard = doctor("--model", models["tflite"], "--json", environment=virtual_microphone.environment)
    assert heard.returncode == 0, heard.stdout
    assert _capture(heard)["state"] == "ok"
    assert -20 < float(_capture(heard)["found"].split()[0]) < 0


def _capture(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return next(finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "capture")
