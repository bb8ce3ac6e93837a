"""The base of the distribution: small, complete, made of wheels alone, and able to listen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile

from tests.conftest import tone

ROOT = Path(__file__).parents[2]
MOST_BYTES = 200e6
"""Of the installed base, without pip and setuptools."""

BOARDS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)))
"""What the C library of Raspberry Pi OS Bookworm (2.36) can run, and that of Trixie as well."""

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with nothing but the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    installed = folder / "venv" / "bin"
    subprocess.run([installed / "pip", "install", "--quiet", wheel], check=True)
    return installed


def test_an_environment_with_nothing_but_the_wheel_listens(
    binaries: Path, models: dict[str, Path], tmp_path: Path
) -> None:
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


def test_the_base_names_the_extra_that_serving_needs(binaries: Path, models: dict[str, Path]) -> None:
    command = [binaries / "tmgc-serve", models["tflite"]]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    packages = "starlette uvicorn python-multipart prometheus-client segno"
    rule, _, advice = refused.stderr.removeprefix("error: ").partition(": ")
    assert rule == "serving needs starlette, which is not installed"
    assert re.fullmatch(rf"{re.escape(str(binaries))}/python[\d.]* -m pip install {packages}\n", advice)
    assert list(binaries.parent.glob("lib/python*/site-packages/edge_runtime/server/page/index.html"))
    assert list(binaries.parent.glob("lib/python*/site-packages/edge_runtime/server/openapi.json"))


def test_the_installed_base_is_small(binaries: Path) -> None:
    (packages,) = binaries.parent.glob("lib/python*/site-packages")
    tools = ("pip", "setuptools", "_distutils_hack", "distutils-precedence")
    files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    counted = [path for path in files if not path.relative_to(packages).parts[0].startswith(tools)]
    assert sum(path.stat().st_size for path in counted) < MOST_BYTES


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_every_dependency_has_a_wheel_for_the_raspberry_pi(python: str, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    resolve = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--only-binary=:all:",
    ]
    if subprocess.run([*resolve, "--no-deps", needed[0]], capture_output=True, check=False).returncode != 0:
        pytest.skip("pip reaches no packages here")
    board = [f"--python-version={python}", *(f"--platform={platform}" for platform in BOARDS)]
    report = tmp_path / "report.json"
    subprocess.run([*resolve, *board, f"--target={tmp_path / 'board'}", f"--report={report}", *needed], check=True)
    wheels = [item["download_info"]["url"].rpartition("/")[2] for item in json.loads(report.read_text())["install"]]
    assert any(wheel.startswith("ai_edge_litert-") for wheel in wheels)
    assert all(wheel.endswith(("aarch64.whl", "-none-any.whl")) for wheel in wheels), wheels
