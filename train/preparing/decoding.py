"""Songs of any kind as files that libsndfile reads: what it cannot, ffmpeg decodes, if the system has it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.audio import AUDIO_SUFFIXES
from edge_runtime.errors import TmgcError

_FFMPEG_SUFFIXES = (".m4a", ".aac", ".wma")
"""Sound that libsndfile does not know."""

SONG_SUFFIXES = (*AUDIO_SUFFIXES, *_FFMPEG_SUFFIXES)
"""File names that count as songs."""


@contextmanager
def decodable(path: Path, scratch: Path) -> Iterator[Path]:
    """The song itself, or a WAV file of it that is there for as long as the context.

    Parameters
    ----------
    path : Path
    scratch : Path
        A folder for the WAV file.

    Raises
    ------
    TmgcError
        It needs ffmpeg, which is missing or cannot decode it.
    OSError
        There is no room for the WAV file.
    """
    if path.suffix.lower() not in _FFMPEG_SUFFIXES:
        yield path
        return
    if shutil.which("ffmpeg") is None:
        raise TmgcError(
            f"{path.suffix} needs ffmpeg, which this system lacks: install it, or convert the song where there is one: "
            f"ffmpeg -i {path.name} {path.stem}.flac"
        )
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        wav = Path(folder) / "song.wav"
        # "file:" since a name with a colon would be taken for a protocol.
        options = ("-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:a:0", "-c:a", "pcm_s16le")
        done = subprocess.run(["ffmpeg", *options, str(wav)], capture_output=True, check=False)
        if done.returncode != 0:
            complaint = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
            if any(os.strerror(errno.ENOSPC) in line for line in complaint):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))
            raise TmgcError(f"ffmpeg cannot decode it: {complaint[-1]}")
        yield wav


def artist_of(path: Path) -> str:
    """The artist that a file's tags name; nothing where they name none.

    Parameters
    ----------
    path : Path
        A file that libsndfile reads: ID3 tags, Vorbis comments, and the text chunks of WAV and AIFF.
    """
    import soundfile

    with soundfile.SoundFile(os.fsencode(path)) as file:
        artist: str = file.artist
    return " ".join(artist.split())
