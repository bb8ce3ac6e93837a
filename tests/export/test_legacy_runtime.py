"""tflite-runtime, the last resort of old systems, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.conftest import tone

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime was last built for Python 3.11"),
]


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the extra ``legacy`` and without ai-edge-litert."""
    folder = tmp_path_factory.mktemp("legacy")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", f"{ROOT}[legacy]"], check=True)
    subprocess.run([folder / "bin" / "pip", "uninstall", "--quiet", "--yes", "ai-edge-litert"], check=True)
    return folder / "bin"


def heard(program: Path, model: str, song: Path) -> subprocess.CompletedProcess[str]:
    command = [str(program), str(song), "--model", model, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("recipe", ["float32", "float16", "int8"])
def test_it_answers_as_its_successor_does(
    recipe: str, legacy: Path, exports: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    song, model = tmp_path / "song.wav", exports[f"tiny.{recipe}.tflite"]["file"]
    soundfile.write(song, tone(2, sample_rate=8_000), 8_000)
    old = heard(legacy / "tmgc-listen", model, song)
    new = heard(Path(sys.executable).parent / "tmgc-listen", model, song)
    assert old.returncode == new.returncode == 0, old.stderr + new.stderr
    before, after = (json.loads(done.stdout.splitlines()[-1]) for done in (old, new))
    assert before["model"]["runtime"].startswith("tflite-runtime")
    assert after["model"]["runtime"].startswith("ai-edge-litert")
    assert before["probabilities"] == pytest.approx(after["probabilities"], abs=0.02)


def test_dynamic_range_files_are_refused_since_it_answers_them_wrongly(
    legacy: Path, exports: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, tone(2, sample_rate=8_000), 8_000)
    done = heard(legacy / "tmgc-listen", exports["tiny.dynamic.tflite"]["file"], song)
    assert done.returncode == 2
    assert "int8 or the float32 export" in done.stderr
