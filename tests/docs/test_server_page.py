"""The examples of the page about the server run against a real one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import soundfile

from edge_runtime import GenreClassifier
from edge_runtime.models import SMALL_MODEL
from edge_runtime.server.running import serve_models
from edge_runtime.server.settings import ServerSettings
from tests.conftest import tone
from tests.docs.pages import ROOT, code_blocks

PAGE = ROOT / "docs" / "server.md"
SHOWN = "127.0.0.1:8321"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Host and port of a server."""
    with serve_models([(SMALL_MODEL, GenreClassifier.open(SMALL_MODEL))], ServerSettings(port=0)) as started:
        yield urlsplit(started.address).netloc


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The songs of the examples, in the present folder."""
    if not shutil.which("ffmpeg"):
        pytest.skip("MP3 in a body needs ffmpeg")
    monkeypatch.chdir(tmp_path)
    for name in ("song.mp3", "other.wav"):
        soundfile.write(name, tone(5, sample_rate=44_100), 44_100)


def example(language: str, server: str) -> str:
    (code,) = (code for code in code_blocks(PAGE, language) if SHOWN in code and "tmgc-" not in code)
    return code.replace(SHOWN, server)


@pytest.mark.usefixtures("songs")
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
def test_the_examples_with_curl_run(server: str) -> None:
    lines = example("sh", server).strip().splitlines()
    answers = []
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", f"{line} --silent --fail-with-body"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        answers.append([json.loads(answer) for answer in done.stdout.splitlines()])
    windows, summary, batch, models = answers
    assert [answer["type"] for answer in windows] == ["window"] * 4 + ["summary"]
    assert [answer["windows"] for answer in summary] == [2]
    assert [answer["source"] for answer in batch] == ["song.mp3", "other.wav"]
    assert models[0]["models"][0]["id"] == "small.int8"


@pytest.mark.usefixtures("songs")
def test_the_example_in_python_runs(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example("python", server), "server.md", "exec"), {})
    first, second, whole = capsys.readouterr().out.splitlines()
    assert first.startswith("0.0 s: ")
    assert second.startswith("2.0 s: ")
    assert whole.startswith("the whole song: ")


@pytest.mark.usefixtures("songs")
@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is missing")
def test_the_example_in_javascript_runs(server: str) -> None:
    Path("example.mjs").write_text(example("js", server))
    done = subprocess.run(["node", "example.mjs"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the whole song: ")
