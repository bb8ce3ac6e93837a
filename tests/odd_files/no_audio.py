"""Files that are no audio but are called so, what is no file at all, and files with odd names."""

from __future__ import annotations

import io
import os
import socket
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.odd_files.encoders import ffmpeg, sound_file, wav
from tests.odd_files.mpeg import noise
from tests.odd_files.odd_file import NEEDS_FFMPEG, OddFile, accounted, odd, refused, whole

SECRET = "secret/other.wav"
"""Another file below the corpus: a ladder that no playlist may make anybody hear."""


def write_secret(folder: Path) -> None:
    """Write the file that playlists name."""
    (folder / SECRET).parent.mkdir(exist_ok=True)
    (folder / SECRET).write_bytes(wav())


_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body><h1>Bulunamad\xc4\xb1</h1></body></html>"
)

_HLS_HEAD = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n"
_DASH_HEAD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT6S"'
    ' profiles="urn:mpeg:dash:profile:isoff-main:2011">'
)

_PLAYLISTS = {
    "m3u8": _HLS_HEAD + "#EXTINF:6.0,\n{other}\n#EXT-X-ENDLIST\n",
    "m3u": "#EXTM3U\n#EXTINF:6,Barış Manço - Gülpembe\n{other}\n",
    "ffconcat": "ffconcat version 1.0\nfile '{other}'\n",
    "cue": 'FILE "{other}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "pls": "[playlist]\nFile1={other}\nNumberOfEntries=1\n",
    "asx": '<asx version="3.0"><entry><ref href="{other}"/></entry></asx>',
    "xspf": '<?xml version="1.0"?><playlist version="1"><trackList><track><location>{other}</location></track>'
    "</trackList></playlist>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "mpd": _DASH_HEAD + '<Period><AdaptationSet mimeType="audio/wav"><Representation id="1" bandwidth="1">'
    "<BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>",
}


def _playlist(name: str, text: str) -> OddFile:
    """A playlist that names the secret by its absolute path."""

    def make(path: Path) -> None:
        path.write_text(text.format(other=path.parent / SECRET), "utf-8")

    return OddFile(name, make, refused(), refused())


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("song.wav", wav())
    return file.getvalue()


def _picture(codec: str) -> bytes:
    """A red picture, ``mjpeg`` or ``png``."""
    red = ("-f", "lavfi", "-i", "color=c=red:s=64x64:d=1:r=1")
    return ffmpeg(*red, "-map", "1:v", "-frames:v", "1", "-c:v", codec, form="image2pipe")


NO_AUDIO_FILES: tuple[OddFile, ...] = (
    *(odd(f"empty.{suffix}", lambda: b"", refused("empty|0 bytes")) for suffix in ("mp3", "wav", "flac", "m4a")),
    odd("one byte.mp3", lambda: b"\xff", refused()),
    odd("one byte.wav", lambda: b"R", refused()),
    odd("four bytes.flac", lambda: b"fLaC", refused()),
    odd("four bytes.ogg", lambda: b"OggS", refused()),
    odd("text.mp3", lambda: "Bu bir şarkı değil.\n".encode() * 200, refused()),
    odd("web page.mp3", lambda: _HTML, refused()),
    odd("json.mp3", lambda: b'{"error": {"code": 403, "message": "quota"}}', refused()),
    odd("pdf.mp3", lambda: b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n", refused()),
    odd("zip.mp3", _zip, refused()),
    odd("picture.mp3", partial(_picture, "mjpeg"), refused()),
    odd("picture.wav", partial(_picture, "png"), refused()),
    odd("zeros.mp3", lambda: bytes(5_000), refused()),
    odd("1 MB of zeros.wav", lambda: bytes(1_000_000), refused()),
    odd("noise.mp3", lambda: noise(100_000, 1), accounted(0)),
    odd("noise.wav", lambda: noise(100_000, 2), accounted(0)),
    odd("noise.flac", lambda: noise(100_000, 3), accounted(0)),
    odd(
        "resource fork.mp3",
        lambda: b"\0\5\x16\7\0\2\0\0Mac OS X        \0\2\0\0\0\t\0\0\0\x32" + bytes(4_000),
        refused(),
    ),
    *(_playlist(f"{kind} called.mp3", text) for kind, text in _PLAYLISTS.items()),
    *(_playlist(f"playlist.{kind}", text) for kind, text in _PLAYLISTS.items()),
    _playlist("m3u8 called.m4a", _PLAYLISTS["m3u8"]),
    _playlist("ffconcat called.wav", _PLAYLISTS["ffconcat"]),
    _playlist("cue called.flac", _PLAYLISTS["cue"]),
)


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")  # a path of more than 107 bytes would be refused
    finally:
        os.close(folder)


def _sparse(content: Callable[[], bytes], size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content())
        os.truncate(path, size)

    return make


def _special(name: str, make: Callable[[Path], object], words: str = "") -> OddFile:
    return OddFile(name, make, refused(words), refused(words))


def _closed(path: Path) -> None:
    path.write_bytes(wav())
    path.chmod(0)


SPECIAL_FILES: tuple[OddFile, ...] = (
    _special("folder.mp3", Path.mkdir, "folder"),
    _special("socket.mp3", _socket),
    _special("broken link.mp3", lambda path: path.symlink_to("nowhere.mp3")),
    _special("link to itself.mp3", lambda path: path.symlink_to(path.name)),
    _special("link to a folder.wav", lambda path: path.symlink_to("."), "folder"),
    _special("null.mp3", lambda path: path.symlink_to("/dev/null")),
    _special("endless.mp3", lambda path: path.symlink_to("/dev/zero")),
    _special("endless.wav", lambda path: path.symlink_to("/dev/urandom")),
    _special("process.mp3", lambda path: path.symlink_to("/proc/self/status")),
    _special("2 GB of nothing.mp3", _sparse(lambda: b"", 2_000_000_000)),
    _special("2 GB of nothing.wav", _sparse(lambda: b"", 2_000_000_000)),
    _special("2 GB of nothing.m4a", _sparse(lambda: b"", 2_000_000_000)),
    *(() if os.geteuid() == 0 else (_special("closed.wav", _closed, "permission"),)),
    OddFile("link.wav", lambda path: path.symlink_to(SECRET), whole(), whole()),
)
"""What is not a regular file, is a large one without content, or may not be read."""

_NAMES = (
    "new\nline",
    "tab\tand\rreturn",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    os.fsdecode(b"cp1254 \xfe\xf0\xfd"),
    os.fsdecode(b"cp857 \x9f\xa7\x8d"),
    "-rf",
    "--json",
    "http:..example.org.song",
    "concat:a.wav|b.wav",
    "file:song",
    "C:song",
    "%d 100% %s %n",
    "$HOME `id` $(id) & ; ' \"",
    "\u202egnos.\u200b",
    "ŞIĞ İı çöü",
    "dag\u0306",
    "🎶 müzik",
    " blanks ",
    "*?[a-z]",
    "{brace}",
    "#1 {0} <b>&amp;",
    "=1+1",
)

NAMED_FILES: tuple[OddFile, ...] = (
    *(odd(f"{name}.wav", partial(wav, 6.0, 8_000), whole()) for name in _NAMES),
    *(
        odd(f"{name}.m4a", partial(ffmpeg, "-c:a", "aac", form="ipod"), whole(), without_ffmpeg=NEEDS_FFMPEG)
        for name in _NAMES
    ),
    odd("a" * 251 + ".wav", partial(wav, 6.0, 8_000), whole()),
    odd("ş" * 125 + "a.m4a", partial(ffmpeg, "-c:a", "aac", form="ipod"), whole(), without_ffmpeg=NEEDS_FFMPEG),
    odd("UPPER.WAV", partial(wav, 6.0, 8_000), whole()),
    odd("MIXED.Flac", partial(sound_file, "FLAC", "PCM_16"), whole()),
    odd("no suffix", partial(wav, 6.0, 8_000), whole()),
    odd("song.mp3.part", partial(wav, 6.0, 8_000), whole()),
    odd(".hidden.wav", partial(wav, 6.0, 8_000), whole()),
    odd("-", partial(wav, 6.0, 8_000), whole()),
)
