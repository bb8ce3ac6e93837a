"""Listening under what the unit allows: a real capture, without systemd but with what it would have the kernel do."""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edge_runtime.service.unit import ServiceSettings, unit_text
from tests.conftest import tone
from tests.edge_runtime.virtual_microphone import VirtualMicrophone

LACKING = [name for name in ("unshare", "setpriv", "systemd-analyze") if not shutil.which(name)]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone can set restrictions"),
    pytest.mark.skipif(bool(LACKING), reason=f"missing programs: {', '.join(LACKING)}"),
    pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="libseccomp2 is missing"),
]


@pytest.fixture
def restricted(tmp_path: Path) -> list[str]:
    """The beginning of a command that runs the rest under the unit's restrictions; its state is ``tmp_path/state``."""
    unit, state = tmp_path / "tmgc.service", tmp_path / "state"
    unit.write_text(unit_text(ServiceSettings(Path("m.tflite"))))
    state.mkdir()
    return [sys.executable, str(Path(__file__).with_name("restricted.py")), str(unit), str(state)]


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_a_microphone_is_heard(
    restricted: list[str], virtual_microphone: VirtualMicrophone, models: dict[str, Path], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.wav", tone(20, sample_rate=44_100), 44_100)
    virtual_microphone.play(tmp_path / "song.wav")
    listen = [sys.executable, "-c", "from edge_runtime.cli import main; main()", "--json", "--model"]
    process = subprocess.Popen(
        [*restricted, *listen, str(models["tflite"])],
        env=virtual_microphone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    windows = [json.loads(process.stdout.readline() or "{}") for _ in range(2)]
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert [window.get("type") for window in windows] == ["window", "window"], said
    assert windows[1]["level_dbfs"] > -40


REFUSED = {
    "a file outside its state": "open('/written-by-tmgc', 'w')",
    "another user": "__import__('os').setuid(1)",
    "a mount": "assert __import__('ctypes').CDLL(None, use_errno=True).mount(b'x', b'/', b'tmpfs', 0, 0) == 0",
    "a trace of another process": "assert __import__('ctypes').CDLL(None).ptrace(16, 1, 0, 0) == 0",
    "a higher priority": "__import__('os').setpriority(0, 0, -5)",
}


@pytest.mark.parametrize("attempt", REFUSED)
def test_what_it_does_not_need_is_refused(attempt: str, restricted: list[str]) -> None:
    done = run([*restricted, sys.executable, "-c", REFUSED[attempt]])
    assert done.returncode == 1
    assert "Error" in done.stderr


def test_its_state_can_be_written(restricted: list[str], tmp_path: Path) -> None:
    done = run([*restricted, sys.executable, "-c", f"open({str(tmp_path / 'state' / 'history')!r}, 'w')"])
    assert done.returncode == 0, done.stderr
