"""A package as Debian builds it, and an apt that knows only that one."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from train.open_music.accompaniment import Mma
from train.open_music.sound import write_ogg
from train.open_music.styles import FAMILIES

CONTROL = """Package: game-music
Version: 1.2-3
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: music
"""
RATE = 8000


def tone(seconds: float, hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def wad(lumps: dict[str, bytes]) -> bytes:
    body, directory = b"", b""
    for name, content in lumps.items():
        directory += struct.pack("<II8s", 12 + len(body), len(content), name.encode())
        body += content
    return struct.pack("<4sII", b"IWAD", len(lumps), 12 + len(body)) + body + directory


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    """A package with two songs (one in a zip), a song in stems, and a sound of half a second."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb builds the package, and is not installed")
    tree = tmp_path / "tree"
    game = tree / "usr/share/games/game 1.5"
    (game / "stems").mkdir(parents=True)
    write_ogg(game / "Über den Wolken.ogg", tone(21), RATE)
    soundfile.write(game / "shot.wav", tone(0.5), RATE)
    write_ogg(game / "stems/song.ogg", tone(22), RATE)
    write_ogg(game / "stems/guitar.ogg", tone(20, hz=880.0), RATE)
    write_ogg(tmp_path / "inner.ogg", tone(23), RATE)
    with zipfile.ZipFile(game / "data.pk3", "w") as archive:
        archive.write(tmp_path / "inner.ogg", "sound/inner.ogg")
        archive.write(tmp_path / "inner.ogg", "../outside.ogg")
    (tree / "usr/share/doc/game-music").mkdir(parents=True)
    (tree / "usr/share/doc/game-music/copyright").write_text("License: CC0\n", encoding="utf-8")
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(CONTROL, encoding="utf-8")
    built = tmp_path / "game-music_1.2-3_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, built], check=True, capture_output=True)
    return built


@pytest.fixture
def apt(deb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a program ``apt-get`` that has one package, and notes each download in ``asked``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "apt-get"
    program.write_text(
        f'#!/bin/sh\necho "$3" >> {folder}/asked\n'
        f'[ "$3" = game-music ] && exec cp {deb} .\necho "E: Unable to locate package $3" >&2\nexit 100\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


@pytest.fixture
def mma(tmp_path: Path) -> Mma:
    """MMA's library with the names of its styles, and a program that refuses everything."""
    for family in FAMILIES.values():
        for style in family.styles:
            path = tmp_path / "usr/share/mma/lib" / f"{style}.mma"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("Time 4\nDefGroove Main\nDefGroove MainIntro\nDefGroove MainEnd\n", encoding="ascii")
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/mma").write_text("raise SystemExit('Error: no such   groove')", encoding="ascii")
    return Mma(tmp_path)
