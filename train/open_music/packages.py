"""Packages of Debian and Ubuntu: downloaded with apt, their music taken out, nothing installed."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from edge_runtime.errors import TmgcError, first_line

LOG = logging.getLogger("tmgc.open_music")

AUDIO = frozenset({".ogg", ".oga", ".opus", ".mp3", ".flac", ".wav"})
MODULES = frozenset({".it", ".xm", ".mod", ".s3m"})
MIDI = frozenset({".mid", ".midi"})
ARCHIVES = frozenset({".pk3", ".zip", ".wad"})


def need(program: str, package: str) -> str:
    """Path of a program.

    Raises
    ------
    TmgcError
        It is not installed.
    """
    found = shutil.which(program)
    if found is None:
        raise TmgcError(f"{program} is needed and is not installed: on Debian and Ubuntu, apt install {package}")
    return found


def download(package: str, folder: Path) -> Path:
    """Download a package as apt knows it.

    Returns
    -------
    deb : Path
        The file, in ``folder``.

    Raises
    ------
    TmgcError
        apt does not know it, or cannot download it.
    """
    command = [need("apt-get", "apt"), "-qq", "download", package]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = sorted(folder.glob(f"{package}_*.deb"))
    if done.returncode or not found:
        reason = first_line(RuntimeError(done.stderr.replace("E: ", "")))
        raise TmgcError(f"{package} cannot be downloaded ({reason}): see that apt-get update succeeds")
    return found[0]


def field(deb: Path, name: str) -> str:
    """A field of a package's control file, such as its version."""
    command = [need("dpkg-deb", "dpkg"), "--field", str(deb), name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def unpack(deb: Path, folder: Path, endings: frozenset[str]) -> None:
    """Take files with these endings out of a package, and its copyright file; archives in it are opened, too.

    Parameters
    ----------
    deb : Path
    folder : Path
        Files keep their path below it. ``copyright`` is written directly into it.
    endings : frozenset of str
        Lower case, with the dot.

    Raises
    ------
    TmgcError
        The package is damaged, or has no copyright file.
    """
    command = [need("dpkg-deb", "dpkg"), "--fsys-tarfile", str(deb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    _take(archive, member, folder, endings)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # also a password
            raise TmgcError(f"{deb.name} cannot be unpacked ({first_line(error)}): download it again") from error
    if not (folder / "copyright").is_file():
        raise TmgcError(f"music needs a licence: {deb.name} has no copyright file. Choose another package")


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, endings: frozenset[str]) -> None:
    path = PurePosixPath(member.name)
    if not member.isfile() or ".." in path.parts:
        return
    if path.name == "copyright":
        path = PurePosixPath("copyright")
    elif path.suffix.lower() not in endings | ARCHIVES:
        return
    content = archive.extractfile(member)
    assert content is not None
    target = _write(content, folder / path)
    if path.suffix.lower() in ARCHIVES:
        for name, inner in _entries(target):
            if PurePosixPath(name).suffix.lower() in endings:
                inner_path = target.with_suffix("") / name
                inner_path.parent.mkdir(parents=True, exist_ok=True)
                inner_path.write_bytes(inner)
        target.unlink()


def _write(content: IO[bytes], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)
    return path


def _entries(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files in an archive of a game: a zip, or a WAD of Doom with MIDI files."""
    if archive.suffix.lower() == ".wad":
        yield from wad_music(archive.read_bytes())
        return
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            if not entry.is_dir() and ".." not in PurePosixPath(entry.filename).parts:
                yield entry.filename.lstrip("/"), opened.read(entry)


def wad_music(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Music of a WAD: a directory of (offset, size, name of 8 bytes), little endian, whose place is in the header."""
    count, directory = (int.from_bytes(content[at : at + 4], "little") for at in (4, 8))
    for place in range(directory, directory + 16 * count, 16):
        offset, size = (int.from_bytes(content[at : at + 4], "little") for at in (place, place + 4))
        lump = content[offset : offset + size]
        if lump.startswith(b"MThd"):
            yield slug(content[place + 8 : place + 16].decode("latin-1")) + ".mid", lump


def slug(text: str) -> str:
    """A name in lower-case ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "file"
