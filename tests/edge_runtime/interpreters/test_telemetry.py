"""What the libraries of interpreters would send about their users is not sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.interpreters import ENGINES

_RECORD = """
import sys
seen = []
def record(event, arguments):
    written = event == "open" and arguments[0] != "/dev/null" and set(str(arguments[1])) & set("wax+")
    if written or event.split(".")[0] in ("socket", "subprocess") or event in ("os.fork", "os.mkdir", "os.posix_spawn"):
        seen.append((event, str(arguments)[:100]))
sys.addaudithook(record)
import numpy as np
from edge_runtime.interpreters import open_interpreter
model = open_interpreter(sys.argv[1], engine=sys.argv[2], threads=1)
model.invoke(np.zeros((32, 48, 3), np.uint8))
assert not sys.modules.get("openvino_telemetry")
print(seen)
"""


@pytest.mark.parametrize("engine", ["litert", "onnxruntime", "openvino"])
def test_nothing_is_sent_written_or_started(engine: str, models: dict[str, Path], tmp_path: Path) -> None:
    """Without our precautions, OpenVINO forks a process that sends; ONNX Runtime sends from C++, unseen here.

    Both write an identifier of the machine into the home folder before.
    """
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("CI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"):  # they send nothing from machines that test
        environment.pop(name, None)
    command = [sys.executable, "-c", _RECORD, str(models[ENGINES[engine].suffix[1:]]), engine]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []
