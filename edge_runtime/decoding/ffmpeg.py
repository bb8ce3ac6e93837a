"""ffmpeg as a decoder: a child process that writes a WAV of floating point samples to a pipe.

It decodes what libsndfile does not: other formats, what stands behind the point at which libsndfile stops, and streams.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_runtime.decoding.pcm import Block, PipeReader, Stop, decode_pcm
from edge_runtime.errors import TmgcError

INSTALL = "install it (sudo apt install ffmpeg)"
"""The next step where ffmpeg is missing."""

_PATIENCE_SECONDS = 30.0
"""Limit for the time in which ffmpeg delivers nothing of a file or an address."""

_MAX_MEMORY_BYTES = 256 << 20
"""Limit of ffmpeg's own memory: it needs about 60 MB, and a gigabyte of zeros called ``.mp3`` would take two."""

_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,iff,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,nut,ogg,"
    "oma,rm,shn,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
"""Containers of sound. Others are playlists, which name further files, or are guesses about what is not sound."""

_URL_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtmp,rtmps,rtmpt,mmsh,mmst,srt,icecast,hls,crypto,data"
"""What an address, or a playlist behind it, may refer to: no local files."""

_REASONS = (
    ("matches no streams|does not contain any stream", "it contains no sound"),
    ("partial file", "its index stands at its end, and it cannot be read backwards from here: save it as a file first"),
    ("moov atom not found", "its index is missing, as in a file that is incomplete"),
    ("activation_bytes|[Ee]ncrypt|DRM", "it is encrypted (DRM)"),
    ("codec none|[Dd]ecoder.*not found", "it is encrypted (DRM), or of a format that ffmpeg does not know"),
    ("Permission denied", "its permissions forbid it"),
    ("404 Not Found", "the server has no such page (404)"),
    ("40[13] ", "the server refuses access"),
    ("[45]XX|[45][0-9][0-9] ", "the server answers with an error"),
    ("resolve hostname|Name or service not known", "the name of the host is unknown"),
    ("Connection refused", "the host refuses the connection"),
    ("timed out", "the host does not answer"),
    ("unreachable", "the host is unreachable"),
    ("Protocol not found", "ffmpeg does not support such addresses"),
    ("Cannot allocate memory", "memory ran out"),
)
"""What ffmpeg writes, as a regular expression, and what it means."""

_UNKNOWN_REASON = "its content is no sound, or damaged: does another program play it?"

_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")

_STOPPED = re.compile("(: Invalid argument|Error during demuxing.*)$", re.MULTILINE)
"""What ffmpeg writes where the format of a chained stream changes."""

_SHORT_SECONDS = 1.0
"""Less than this is missing at the end of whole files, too: durations are those of the longest stream, and rounded."""


def has_ffmpeg() -> bool:
    """Whether ffmpeg is installed."""
    return shutil.which("ffmpeg") is not None


class Ffmpeg:
    """Decodes a file, an address or a pipe from its beginning; call :meth:`close` afterwards.

    Parameters
    ----------
    source : Path, str or PipeReader
        A local file, an address such as ``https://...``, or what another program pipes in.
    stop : Stop, optional
        Ends a wait.

    Attributes
    ----------
    warnings : list of str
        What is wrong with what was decoded, without the name of the source; complete after the last block.

    Raises
    ------
    TmgcError
        ffmpeg is not installed.
    """

    def __init__(self, source: Path | str | PipeReader, *, stop: Stop | None = None) -> None:
        if not has_ffmpeg():
            raise TmgcError(f"ffmpeg is needed and missing: {INSTALL}")
        self.warnings: list[str] = []
        self._seconds = 0.0
        self._piped = source if isinstance(source, PipeReader) else None
        self._process = subprocess.Popen(
            _command(source),
            stdin=subprocess.PIPE if self._piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C ends only this program, which then ends ffmpeg
        )
        _limit_memory(self._process.pid)
        assert self._process.stdout
        patience = float("inf") if self._piped else _PATIENCE_SECONDS
        self._reader = PipeReader(self._process.stdout.fileno(), stop, patience_seconds=patience)
        self._first_words: list[str] = []
        self._last_words: deque[str] = deque(maxlen=_KEPT_LINES)
        self._threads = [threading.Thread(target=self._drain_messages, daemon=True)]
        if isinstance(source, PipeReader):
            self._threads.append(threading.Thread(target=self._feed, args=(source,), daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def idle_seconds(self) -> float:
        """Time that was spent waiting for what ffmpeg decodes, seconds."""
        return self._reader.idle_seconds

    def blocks(self) -> Iterator[Block]:
        """Decode to the end.

        Raises
        ------
        TmgcError
            Nothing can be decoded, or ffmpeg delivers nothing for a long time.
        """
        head = self._reader.read(_HEAD_BYTES)
        if self._reader.stopped:
            return
        if len(head) < _HEAD_BYTES:
            raise TmgcError(self._reason())
        self._reader.unread(head)
        for block in decode_pcm(self._reader, None, warn=self.warnings.append):
            self._seconds += len(block.samples) / block.rate
            yield block
        if self._reader.stopped:
            return
        if not self._seconds:
            raise TmgcError(self._reason())
        self._judge_end()

    def close(self) -> None:
        """End ffmpeg."""
        if self._piped:
            self._piped.end()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _judge_end(self) -> None:
        """Compare what was decoded with the duration that the container states."""
        text = self._messages()
        if _STOPPED.search(text):
            self.warnings.append(f"goes on after {self._seconds:.2f} s in another format, which cannot be decoded")
            return
        stated = _DURATION.search(text)
        estimated = "Estimating duration" in text or re.search(r"Input #0, (mp3|aac|ogg)", text)
        has_video = re.search(r"Stream #0:.*Video:(?!.*attached pic)", text)
        if not stated or estimated or has_video or self._piped:
            return
        seconds = int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3])
        if self._seconds < seconds - _SHORT_SECONDS:
            self.warnings.append(f"is truncated or damaged: {self._seconds:.2f} of {seconds:.2f} s could be decoded")

    def _reason(self) -> str:
        """Why nothing was decoded."""
        text = self._messages()
        return next((meaning for words, meaning in _REASONS if re.search(words, text)), _UNKNOWN_REASON)

    def _messages(self) -> str:
        """What ffmpeg has written, once it has ended."""
        self._process.wait()
        self._threads[0].join()
        return "\n".join([*self._first_words, *self._last_words])

    def _drain_messages(self) -> None:
        """Keep the first and the last messages, and let ffmpeg never wait for a reader."""
        assert self._process.stderr
        while line := self._process.stderr.readline(_LONGEST_LINE):
            words = line.decode("utf-8", "replace").rstrip()
            if len(self._first_words) < _KEPT_LINES:
                self._first_words.append(words)
            else:
                self._last_words.append(words)

    def _feed(self, source: PipeReader) -> None:
        """Hand on what another program pipes in, until it or ffmpeg ends."""
        stdin = self._process.stdin
        assert stdin
        with suppress(BrokenPipeError):
            while self._process.poll() is None and (content := source.read_some()):
                stdin.write(content)
                stdin.flush()
        with suppress(BrokenPipeError):
            stdin.close()


def _limit_memory(process: int) -> None:
    if hasattr(resource, "prlimit"):  # Linux
        with suppress(OSError):
            resource.prlimit(process, resource.RLIMIT_DATA, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))


_KEPT_LINES = 50
_LONGEST_LINE = 1000
"""Bytes."""

_HEAD_BYTES = 12
"""Of the WAV that ffmpeg writes once it has understood its input."""


def _command(source: Path | str | PipeReader) -> list[str]:
    if isinstance(source, PipeReader):
        given = ["-format_whitelist", _DEMUXERS, "-protocol_whitelist", "pipe", "-i", "pipe:0"]
    elif isinstance(source, Path):
        # "file:" since ffmpeg would take a name with a colon for a protocol
        given = ["-format_whitelist", _DEMUXERS, "-protocol_whitelist", "file", "-i", f"file:{source}"]
    else:
        timeout = ["-rw_timeout", "15000000"] if source.lower().startswith("http") else []
        given = ["-protocol_whitelist", _URL_PROTOCOLS, *timeout, "-i", source]
    messages = ["-hide_banner", "-nostats", "-loglevel", "info"]
    wav = ["-map_metadata", "-1", "-map_chapters", "-1", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]
    return ["ffmpeg", "-nostdin", *messages, *given, "-map", "0:a:0", *wav]
