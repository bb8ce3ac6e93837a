"""A library and its results on disks of their own, which fill up, go away or fail; root alone can mount them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_EXT4_IOC_SHUTDOWN = 0x8004587D
"""From fs/ext4/ext4.h of Linux."""
_WITHOUT_FLUSH = 2

_ROOM = "64m"
_IMAGE = "ext4.img"


class Disk:
    """A place where something is mounted.

    Parameters
    ----------
    folder : Path
    *arguments : str
        Of ``mount``.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._arguments = arguments

    def mount(self) -> None:
        """Mount it, also again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("mount", *self._arguments, str(self.folder))

    def remove(self) -> None:
        """Unmount it, though files on it are open."""
        _run("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Leave a tmpfs no room for anything more."""
        self._resize(str(shutil.disk_usage(self.folder).used))

    def make_room(self) -> None:
        """Give a tmpfs room again."""
        self._resize(_ROOM)

    def _resize(self, size: str) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self.folder))

    def fail(self) -> None:
        """Let no file of an ext4 file system be read any more: each read is an error of input and output."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(descriptor)


class ImageDisk(Disk):
    """An ext4 file system in a file, mounted read-only."""

    def __init__(self, folder: Path, image: Path) -> None:
        super().__init__(folder, "-o", "loop,ro", str(image))
        self._image = image

    def exchange(self) -> None:
        """Mount a copy in its place: it fails as long as anybody sees it, also a process with mounts of its own."""
        self.remove()
        copy = self._image.with_name(f"{_IMAGE}.copy")
        shutil.copyfile(self._image, copy)
        self._arguments = ("-o", "loop,ro", str(copy))
        self.mount()


class Disks:
    """A library of two roots, and its results.

    Attributes
    ----------
    roots : tuple of Path
    every : list of Disk
    going, failing, second : Disk
        Sub-folders of the first root, and the second root. They are tagged in this order, after all others.
    results : Disk
        Its size is limited.
    """

    def __init__(self, work: Path, parts: Sequence[Path], copied: Sequence[Path]) -> None:
        first = work / "first"
        *others, going, second = parts
        self.roots = first, work / "second"
        unchanged = [Disk(first / part.name, "--bind", str(part)) for part in others]
        self.going = Disk(first / going.name, "--bind", str(going))
        self.failing = ImageDisk(first / "zz-failing", _image(work, copied))
        self.second = Disk(self.roots[1], "--bind", str(second))
        self.results = Disk(work / "results", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs")
        self.every = [*unchanged, self.going, self.failing, self.second, self.results]


@contextmanager
def mounted_disks(work: Path, parts: Sequence[Path], copied: Sequence[Path]) -> Iterator[Disks]:
    """Mount a library.

    Parameters
    ----------
    work : Path
        A new folder.
    parts : sequence of Path
        At least three folders of songs.
    copied : sequence of Path
        Songs of the disk that fails.
    """
    disks = Disks(work, parts, copied)
    try:
        for disk in disks.every:
            disk.mount()
        yield disks
    finally:
        for disk in disks.every:
            with contextlib.suppress(subprocess.CalledProcessError):
                disk.remove()
        for image in work.glob(f"{_IMAGE}*"):
            image.unlink()


def why_not_mounted(folder: Path) -> str:
    """Why disks cannot be mounted here; empty if they can."""
    if missing := [name for name in ("mount", "umount", "mkfs.ext4") if not shutil.which(name)]:
        return f"no {missing[0]}"
    try:
        with mounted_disks(folder / "tried", [folder] * 3, []):
            return ""
    except subprocess.CalledProcessError as error:
        return f"disks cannot be mounted here: {error.stderr.strip()}"


def _image(work: Path, songs: Sequence[Path]) -> Path:
    """An ext4 file system that holds songs."""
    content, image = work / "content", work / _IMAGE
    content.mkdir(parents=True)
    for song in songs:
        os.link(song, content / song.name)
    with image.open("wb") as file:
        file.truncate(2**23 + 2 * sum(song.stat().st_size for song in songs))
    _run("mkfs.ext4", "-q", "-d", str(content), str(image))
    shutil.rmtree(content)
    return image


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
