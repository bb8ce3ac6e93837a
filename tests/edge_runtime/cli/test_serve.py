"""``tmgc-serve`` and ``tmgc-listen --serve`` as their users start them."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import soundfile
from click.testing import CliRunner

from edge_runtime.cli.serve import announce, main
from edge_runtime.errors import pip_install_extra
from tests.conftest import tone
from tests.edge_runtime.conftest import LISTEN
from tests.edge_runtime.factories import listen_command
from tests.edge_runtime.server.conftest import request, wav
from tests.edge_runtime.server.test_hub import stream

SERVE = (sys.executable, "-c", "from edge_runtime.cli.serve import main; main()")
TOKEN = "0123456789abcdef"


class Started(NamedTuple):
    """A process that serves."""

    process: subprocess.Popen[str]
    address: str


@contextmanager
def started(*command: object, **environment: str) -> Iterator[Started]:
    """Start a command, and wait until it serves."""
    with subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if line.startswith(("serving", "error")))
            assert line.startswith("serving"), line
            yield Started(process, line.split()[-1])
        finally:
            process.kill()


def test_models_are_served_until_the_end_is_requested(models: dict[str, Path], tmp_path: Path) -> None:
    with started(*SERVE, models["tflite"], shutil.copy(models["onnx"], tmp_path / "other.onnx")) as server:
        named = [model["id"] for model in request(server.address, "/v1/models").json["models"]]
        assert named == ["tiny.float32", "other"]
        answer = request(server.address, "/v1/classify?model=other", body=wav(3))
        assert answer.lines[-1]["model"]["format"] == "onnx"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0


def test_what_is_listened_to_is_served(models: dict[str, Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", tone(60, sample_rate=22_050), 22_050)
    listen = (*LISTEN, tmp_path / "song.wav", "--speed", 4, "--json", "--model", models["tflite"], "--serve", "0")
    with started(*listen) as listener, stream(listener.address) as read:
        kinds = [read() for _ in range(12)]
        windows = [event["data"] for event in kinds if event["event"] == "window"]
        assert windows
        assert {"levels", "window"} == {event["event"] for event in kinds}
        assert request(listener.address, "/health/ready").status == 200
        upload = request(listener.address, "/v1/classify", body=wav(3))
        assert upload.lines[-1]["windows"] == 2
        listener.process.send_signal(signal.SIGINT)
        stdout, _ = listener.process.communicate(timeout=10)
    printed = [json.loads(line) for line in stdout.splitlines()]
    assert all(window in printed for window in windows)


def test_other_machines_need_the_token(models: dict[str, Path]) -> None:
    refused = listen_command("--model", models["tflite"], "--serve", "0.0.0.0:0")
    assert refused.exit_code == 2
    assert "needs a token" in refused.stderr
    with started(*SERVE, models["tflite"], "--address", "0.0.0.0:0", TMGC_TOKEN=TOKEN) as server:
        assert TOKEN not in server.address  # it is no terminal
        port = server.address.rstrip("/").rpartition(":")[2]
        assert request(f"http://127.0.0.1:{port}", "/v1/models").status == 401


def test_a_port_that_is_taken_is_refused(models: dict[str, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(main, [str(models["tflite"]), "--address", port])
    assert done.exit_code == 2
    assert "a server needs a free port" in done.stderr


def test_two_models_of_one_name_are_refused(models: dict[str, Path]) -> None:
    done = CliRunner().invoke(main, [str(models["tflite"]), str(models["onnx"]), "--address", "0"])
    assert done.exit_code == 2
    assert "two are tiny.float32" in done.stderr


def test_a_missing_extra_is_named_in_one_line() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from edge_runtime.cli.listen import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--serve", "0", "song.mp3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    needed = f"serving needs uvicorn, which is not installed: {pip_install_extra('serve')}"
    assert done.stderr == f"error: {needed}\n"


def test_a_listener_that_serves_nothing_imports_no_web_framework(models: dict[str, Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", tone(3, sample_rate=22_050), 22_050)
    code = (
        "import sys\n"
        "from edge_runtime.cli.listen import main\n"
        "try:\n    main()\n"
        "finally:\n    print([name for name in ('starlette', 'uvicorn', 'asyncio', 'prometheus_client', 'segno') "
        "if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "song.wav"), "--model", str(models["tflite"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_terminal_shows_the_address_with_the_token_and_as_a_qr_code(
    notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    announce("http://192.168.1.7:8321/", TOKEN)
    assert notices == [f"serving http://192.168.1.7:8321/#token={TOKEN}"]
    assert len(terminal.getvalue().splitlines()) > 10
