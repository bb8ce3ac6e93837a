"""Sound that is no file of its own: a named pipe, an address, a playlist."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime import AudioFile, TmgcError, read_audio
from edge_runtime.shutdown import Shutdown
from tests.edge_runtime.test_audio_file import RATE, encoded, needs_ffmpeg, read_with_warnings


@pytest.mark.parametrize("content", ["RIFF", "mp3"])
def test_a_named_pipe_is_read_as_a_stream(tmp_path: Path, content: str) -> None:
    if content == "mp3" and not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg on the PATH")
    sent = encoded("WAV", 3) + encoded("WAV", 1) if content == "RIFF" else encoded("MP3")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(sent))
    writer.start()
    samples, warnings = read_with_warnings(tmp_path / "pipe")
    writer.join()
    assert len(samples) / RATE == pytest.approx(4, abs=0.1)
    assert not warnings


def test_a_named_pipe_that_nobody_writes_to_can_be_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    stop = Shutdown()
    threading.Timer(0.2, stop.request).start()
    with AudioFile(tmp_path / "pipe", sample_rate=RATE, stop=stop) as file:
        assert not list(file.blocks())
    assert not file.warnings


@needs_ffmpeg
def test_an_address_is_opened_by_ffmpeg_and_its_password_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(encoded("MP3"))
    with served(tmp_path) as address:
        samples, warnings = read_with_warnings(f"HTTP://me:secret@{address}/song.mp3")
        assert len(samples) / RATE == pytest.approx(4, abs=0.1)
        assert not warnings
        with pytest.raises(TmgcError, match=r"no such page \(404\)") as caught:
            AudioFile(f"http://me:secret@{address}/none.mp3", sample_rate=RATE)
    assert "secret" not in str(caught.value)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_an_address_without_ffmpeg_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TmgcError, match="ffmpeg, which opens addresses, is missing"):
        AudioFile("https://radio.example/stream", sample_rate=RATE)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b.wav"
    path.write_bytes(encoded("WAV"))
    assert len(read_audio(path.as_uri(), sample_rate=RATE)) == 4 * RATE


@needs_ffmpeg
@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:4,\nsong.wav\n", "ffconcat version 1.0\nfile song.wav\n"])
def test_a_playlist_in_a_file_is_not_followed(tmp_path: Path, text: str) -> None:
    (tmp_path / "song.wav").write_bytes(encoded("WAV"))
    (tmp_path / "list.mp3").write_text(text)
    with pytest.raises(TmgcError, match="must be one that can be decoded"):
        AudioFile(tmp_path / "list.mp3", sample_rate=RATE)
