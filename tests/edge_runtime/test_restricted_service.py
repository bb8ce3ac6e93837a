"""Listening under what the unit allows: a real capture, without systemd but with what it would have the kernel do."""

from __future__ import annotations

import ctypes.util
import grp
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edge_runtime.service import ServiceSettings, make_token, unit_text
from tests.conftest import tone
from tests.edge_runtime import restricted_service
from tests.edge_runtime.restricted_service import USER
from tests.edge_runtime.server.conftest import request, wav
from tests.edge_runtime.virtual_microphone import VirtualMicrophone

LACKING = [name for name in ("unshare", "setpriv", "systemd-analyze") if not shutil.which(name)]

PROGRAM = [Path.cwd(), Path(sys.prefix), Path(sys.base_prefix)]
"""Folders that the service's user must look into."""


def closed(folder: Path) -> bool:
    """Whether only its owner can look into it; those above it are new where the homes and ``/tmp`` are covered."""
    above = [] if any(map(folder.is_relative_to, ("/tmp", "/root", "/home"))) else folder.parents
    return not all(each.stat().st_mode & 0o001 for each in (folder, *above))


def may_mount() -> bool:
    """Whether root has the right, which it has not in many containers."""
    return not LACKING and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone can set restrictions"),
    pytest.mark.skipif(bool(LACKING), reason=f"missing programs: {', '.join(LACKING)}"),
    pytest.mark.skipif(not may_mount(), reason="nothing can be mounted here"),
    pytest.mark.skipif(any(map(closed, PROGRAM)), reason="this checkout, or its Python, is closed to other users"),
    pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="libseccomp2 is missing"),
]


@pytest.fixture
def restricted(tmp_path: Path) -> list[str]:
    """The beginning of a command that runs the rest under the unit's restrictions; its state is ``tmp_path/state``."""
    unit, state = tmp_path / "tmgc.service", tmp_path / "state"
    unit.write_text(unit_text(ServiceSettings(Path("m.tflite"))))
    state.mkdir()
    os.chown(state, USER, USER)
    tmp_path.chmod(0o755)
    if closed(tmp_path):
        pytest.skip("the folder for temporary files is closed to other users")
    seen = ":".join(map(str, (tmp_path, *PROGRAM)))
    return [sys.executable, str(Path(restricted_service.__file__)), str(unit), str(state), seen]


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_a_microphone_is_classified(
    restricted: list[str], virtual_microphone: VirtualMicrophone, brief_model: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.wav", tone(60, sample_rate=44_100), 44_100)
    virtual_microphone.play(tmp_path / "song.wav")
    model = shutil.copy(brief_model, tmp_path)
    state = str(tmp_path / "state")
    listen = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()", "--json", "--model"]
    process = subprocess.Popen(
        [*restricted, *listen, str(model)],
        env={**virtual_microphone.environment, "HOME": state, "XDG_RUNTIME_DIR": state},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    windows = [json.loads(process.stdout.readline() or "{}") for _ in range(2)]
    process.terminate()
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert [window.get("type") for window in windows] == ["window", "window"], stderr
    assert windows[1]["level_dbfs"] > -40


def test_its_page_is_served(restricted: list[str], brief_model: Path, tmp_path: Path) -> None:
    model, state = shutil.copy(brief_model, tmp_path), tmp_path / "state"
    make_token(state / "token", "nobody")
    serve = [sys.executable, "-c", "from edge_runtime.cli.serve import main; main()", str(model)]
    process = subprocess.Popen(
        [*restricted, *serve, "--address", "0.0.0.0:0", "--token-file", str(state / "token")],
        env={**os.environ, "HOME": str(state), "CACHE_DIRECTORY": str(state)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    answer = request(line.split()[-1], "/v1/classify", body=wav(2), headers={"Authorization": "Bearer wrong"})
    token = (state / "token").read_text().strip()
    right = request(line.split()[-1], "/v1/classify", body=wav(2), headers={"Authorization": f"Bearer {token}"})
    if shutil.which("ffmpeg"):
        encode = f"ffmpeg -v error -f lavfi -i sine=300:duration=3 -c:a aac {tmp_path / 'song.m4a'}"
        subprocess.run(encode.split(), check=True)
        song = (tmp_path / "song.m4a").read_bytes()
        sent = request(line.split()[-1], "/v1/classify", body=song, headers={"Authorization": f"Bearer {token}"})
        assert sent.status == 200, sent.body
    process.terminate()
    process.communicate()
    assert process.returncode == 0
    assert token not in line
    assert (answer.status, right.status) == (401, 200), right.body
    assert (state / "token").stat().st_mode & 0o777 == 0o600


REFUSED = {
    "a file outside its state": "open('/var/tmp/written-by-tmgc', 'w')",
    "another user": "__import__('os').setuid(1)",
    "a mount": "assert __import__('ctypes').CDLL(None, use_errno=True).mount(b'x', b'/', b'tmpfs', 0, 0) == 0",
    "a trace": "assert __import__('ctypes').CDLL(None).ptrace(0, 0, 0, 0) == 0",
    "a socket of another family": "__import__('socket').socket(__import__('socket').AF_NETLINK)",
    "a file of another user": "open('/etc/shadow')",
    "another priority": "__import__('os').setpriority(0, 0, 5)",
}


@pytest.mark.parametrize("attempt", REFUSED)
def test_what_it_does_not_need_is_refused(attempt: str, restricted: list[str]) -> None:
    done = run([*restricted, sys.executable, "-c", f"print('tried', flush=True); {REFUSED[attempt]}"])
    assert (done.returncode, done.stdout) == (1, "tried\n"), done.stderr
    assert "Error" in done.stderr


def test_its_state_can_be_written(restricted: list[str], tmp_path: Path) -> None:
    done = run([*restricted, sys.executable, "-c", f"open({str(tmp_path / 'state' / 'history')!r}, 'w')"])
    assert done.returncode == 0, done.stderr


def test_it_is_another_user_with_a_folder_for_temporary_files_of_its_own(restricted: list[str]) -> None:
    code = "import os; print(os.getuid(), os.getgroups(), os.path.exists(%r)); open('/tmp/x', 'w')"
    with tempfile.NamedTemporaryFile(dir="/tmp") as hidden:
        done = run([*restricted, sys.executable, "-c", code % hidden.name])
    assert done.stdout.split() == [str(USER), f"[{grp.getgrnam('audio').gr_gid}]", "False"], done.stderr
    assert not Path("/tmp/x").exists()


@pytest.mark.parametrize("family", ["AF_UNIX", "AF_INET", "AF_INET6"])
def test_sockets_of_the_families_that_it_needs_can_be_opened(family: str, restricted: list[str]) -> None:
    done = run([*restricted, sys.executable, "-c", f"import socket; socket.socket(socket.{family})"])
    assert done.returncode == 0, done.stderr
