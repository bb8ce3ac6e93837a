"""Short songs of every format whose tags are written, encoded by ffmpeg."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

_METADATA = ("-metadata", "title=Şarkı", "-metadata", "artist=Kimse", "-metadata", "comment=a ; b / c")
_BARE = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact")

FORMATS: dict[str, tuple[str, ...]] = {
    "v24.mp3": ("-c:a", "libmp3lame", "-id3v2_version", "4", *_METADATA),
    "v23.mp3": ("-c:a", "libmp3lame", "-id3v2_version", "3", *_METADATA),
    "bare.mp3": ("-c:a", "libmp3lame", "-id3v2_version", "0", "-write_id3v1", "0", *_BARE),
    "song.flac": ("-c:a", "flac", *_METADATA),
    "song.ogg": ("-c:a", "libvorbis", *_METADATA),
    "song.opus": ("-c:a", "libopus", *_METADATA),
    "song.m4a": ("-c:a", "aac", "-movflags", "+faststart", *_METADATA),
    "end.m4a": ("-c:a", "aac", *_METADATA),
    "bare.m4a": ("-c:a", "aac", *_BARE),
}
"""Options of the encoder by file name."""

ID3V1 = b"TAG" + b"Song".ljust(30, b"\0") + b"Nobody".ljust(30, b"\0") + bytes(64) + b"\xff"
"""Without a genre."""

NAMES = sorted([*FORMATS, "v1.mp3"])


def encode(folder: Path) -> None:
    """Write a song of each format into a folder: two seconds of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = ("-f", "lavfi", "-i", "anoisesrc=d=2:r=48000:a=0.3:seed=1")
    outputs = [part for name, options in FORMATS.items() for part in (*options, str(folder / name))]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *noise, *outputs], check=True)
    (folder / "v1.mp3").write_bytes((folder / "bare.mp3").read_bytes() + ID3V1)


def audio_md5(folder: Path) -> list[str]:
    """MD5 of the encoded sound of each of :data:`NAMES`, as ffmpeg sees it."""
    inputs = [part for name in NAMES for part in ("-i", str(folder / name))]
    outputs = [
        part for number in range(len(NAMES)) for part in ("-map", f"{number}:a", *["-c", "copy", "-f", "md5", "-"])
    ]
    command = ["ffmpeg", "-v", "error", *inputs, *outputs]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def probed(path: Path) -> dict[str, str]:
    """Tags by name in lower case, as ffprobe sees them."""
    entries = "format_tags:stream_tags"
    command = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    tags = [found.get("format", {}), *found.get("streams", [])]
    return {key.lower(): value for part in tags for key, value in part.get("tags", {}).items()}
