"""The base of the distribution, installed alone, listens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.conftest import tone

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_an_environment_with_nothing_but_the_wheel_listens(models: dict[str, Path], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    wheel = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, *wheel], check=True)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([binaries / "pip", "install", "--quiet", next(tmp_path.glob("tmgc-*.whl"))], check=True)
    listed = subprocess.run([binaries / "pip", "list", "--format", "json"], check=True, capture_output=True, text=True)
    installed = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert not installed & {"tensorflow", "keras", "librosa", "matplotlib", "scipy", "onnxruntime"}
    soundfile.write(tmp_path / "song.ogg", tone(5, sample_rate=48_000), 48_000)
    command = [str(binaries / "tmgc-listen"), "song.ogg", "--json", "--model", str(models["tflite"])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["windows"] == 4
    command[-1] = str(models["onnx"])
    refused = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "pip install onnxruntime" in refused.stderr
