"""The unit, held against systemd's own judgement."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.service import ServiceSettings, unit_text

HIGHEST_EXPOSURE = 3.0
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: apt-get install systemd"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A unit whose program exists."""
    program = tmp_path / "opt" / "bin" / "tmgc-listen"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    options = ("--device", 'USB "Mic" 100 % $5', "--hop", "2")
    path = tmp_path / "tmgc.service"
    path.write_text(unit_text(ServiceSettings(Path("/a model.tflite"), options, user="root", program=tmp_path / "opt")))
    return path


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@needs_systemd
def test_systemd_accepts_it_without_a_word(unit: Path) -> None:
    done = analyze("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_systemd_calls_its_exposure_low(unit: Path) -> None:
    done = analyze("security", "--offline=true", unit)
    exposure = re.search(r"Overall exposure level for tmgc\.service: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= HIGHEST_EXPOSURE


@pytest.mark.parametrize(
    "line",
    [
        "User=tmgc",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "SupplementaryGroups=audio",
        "Restart=always",
        "Type=notify",
        "StateDirectory=tmgc",
        "DeviceAllow=char-116 rw",
        "CapabilityBoundingSet=",
        "LogRateLimitBurst=1000",
    ],
)
def test_it_has_few_rights_is_started_again_and_fills_no_journal(line: str) -> None:
    assert line in unit_text(ServiceSettings(Path("m.tflite"))).splitlines()


@pytest.mark.parametrize("setting", ["MemoryDenyWriteExecute=", "ProcSubset=", "PrivateDevices="])
def test_what_would_silence_it_is_left_out(setting: str) -> None:
    assert not any(line.startswith(setting) for line in unit_text(ServiceSettings(Path("m.tflite"))).splitlines())


def test_it_waits_for_a_microphone_without_end() -> None:
    assert "--wait-device inf" in unit_text(ServiceSettings(Path("m.tflite")))


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('a "b"', '"a \\"b\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("a;b", '"a;b"'),
        ("it's", '"it\'s"'),
    ],
)
def test_arguments_reach_the_program_as_they_were_given(argument: str, written: str) -> None:
    text = unit_text(ServiceSettings(Path("m.tflite"), (argument,)))
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert command.endswith(f" inf {written}")
