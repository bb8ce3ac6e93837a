"""ffmpeg is a child that ends with its reader, and that explains itself in plain words."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import soundfile

from edge_runtime import TmgcError
from edge_runtime.decoding.ffmpeg import Ffmpeg
from edge_runtime.decoding.pcm import PipeReader
from edge_runtime.shutdown import Shutdown
from tests.conftest import tone, until

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is run in ffmpeg's place."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return program


def test_all_samples_of_a_file_are_delivered(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(3, sample_rate=8_000), 8_000)
    decoder = Ffmpeg(path)
    blocks = list(decoder.blocks())
    decoder.close()
    assert {(block.rate, block.samples.shape[1]) for block in blocks} == {(8_000, 1)}
    assert sum(len(block.samples) for block in blocks) == 24_000
    assert not decoder.warnings


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("Stream map '0:a:0' matches no streams.", "contains no sound"),
        ("moov atom not found", "its index is missing"),
        ("Server returned 404 Not Found", "no such page"),
        ("Server returned 5XX Server Error reply", "answers with an error"),
        ("Failed to resolve hostname x: Name or service not known", "name of the host is unknown"),
        ("Connection to tcp://x:1 failed: Connection refused", "refuses the connection"),
        ("Connection timed out", "does not answer"),
        ("Decoder (codec none) not found for input stream #0:0", "encrypted"),
        ("activation_bytes option is missing!", "encrypted"),
        ("Something else at 0x55d1", "no sound, or damaged"),
    ],
)
def test_a_reason_is_in_plain_words(fake: Path, words: str, meaning: str) -> None:
    fake.write_text(f'#!/bin/sh\necho "[mov @ 0x55f3c0] {words}" >&2\nexit 1\n')
    decoder = Ffmpeg("https://x.example/y")
    with pytest.raises(TmgcError, match=meaning) as caught:
        list(decoder.blocks())
    decoder.close()
    assert "0x" not in str(caught.value)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_its_memory_is_limited(fake: Path, tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    fake.write_text(f"#!/bin/sh\nwhile ulimit -d > {limit}; do sleep 0.05; done\n")
    decoder = Ffmpeg("https://x.example/y")
    until(lambda: limit.exists() and limit.read_text() == f"{256 * 1024}\n")
    decoder.close()


def test_any_number_of_messages_holds_nothing_up(fake: Path) -> None:
    fake.write_text("#!/bin/sh\nyes 'moov atom not found' | head -c 3000000 >&2\nexit 1\n")
    decoder = Ffmpeg("https://x.example/y")
    with pytest.raises(TmgcError, match="index is missing"):
        list(decoder.blocks())
    decoder.close()


@pytest.mark.parametrize("script", ["sleep 1000", "trap '' TERM INT; sleep 1000 & wait", "yes"])
def test_it_ends_with_its_children_when_it_is_closed(fake: Path, tmp_path: Path, script: str) -> None:
    fake.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{script}\n")
    decoder = Ffmpeg("https://x.example/y")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    group = int((tmp_path / "pid").read_text())
    decoder.close()
    until(lambda: not _lives(group))


def test_a_wait_for_it_is_ended_on_request(fake: Path) -> None:
    fake.write_text("#!/bin/sh\nsleep 1000\n")
    stop = Shutdown()
    decoder = Ffmpeg("https://x.example/y", stop=stop)
    stop.request()
    assert not list(decoder.blocks())
    decoder.close()


def test_it_is_closed_while_it_waits_for_a_pipe() -> None:
    given, taken = os.pipe()
    Ffmpeg(PipeReader(given)).close()
    os.close(given)
    os.close(taken)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, signal.SIGCONT)
    except ProcessLookupError:
        return False
    return True
