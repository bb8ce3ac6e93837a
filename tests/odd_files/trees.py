"""Folders of songs as people have them: rubbish bins, split data sets, twins, legacy names, links in circles."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 8_000

SYSTEM_FOLDERS = (
    "$RECYCLE.BIN",
    "$Recycle.Bin/S-1-5-21-1004336348",
    "RECYCLER",
    "System Volume Information",
    "#recycle",
    "#Recycle/Arsiv",
    "@Recycle",
    "@Recently-Snapshot",
    "@eaDir/song.mp3",
    "#snapshot/GMT-2026.01.01",
    ".Trash-1000/files",
    ".Trashes/501",
    ".Spotlight-V100",
    ".fseventsd",
    "lost+found",
    "LOST+FOUND",
    "__MACOSX",
    ".AppleDouble",
    ".stversions",
    "Caz/@eaDir",
    "Halk/Album/__MACOSX",
    "Halk/#recycle",
    "Caz/lost+found",
)
"""Folders in which systems keep what nobody wants to train on."""

SPLITS = (
    ("train", "test"),
    ("Train", "Test"),
    ("train", "val", "test"),
    ("training", "validation", "testing"),
    ("TRAIN", "VALID", "TEST"),
    ("train", "dev", "eval"),
)
"""Folders of a data set that is already split."""

TWINS = (
    ("Klasik", "klasik"),
    ("Klasik", "KLASİK"),
    ("Işık", "IŞIK"),
    ("ilahi", "İLAHİ"),
    ("Türkü", "TÜRKÜ"),
    ("Pop", "Pop "),
    ("Pop", "pop\u00a0"),
    ("Halk Müziği", "Halk  Müziği"),
    ("Rock", " rock"),
)
"""Folders that are one genre to a person, and two to a file system."""

NEAR_TWINS = (("Klasik", "KLASIK"), ("Arabesk İ", "arabesk ı"), ("Halk", "HALK"))
"""The same under the rules of another language."""

RESERVED = ("unknown", "silence", "Unknown", "SILENCE", "silence ")
"""Names that are answers of the listener."""

LEGACY = ("Türkü", "Şarkı", "Özgün Müzik", "Çocuk", "İlahi", "Sanat Müziği")
"""Genres whose names a zip from an old Windows brings as bytes that are no UTF-8."""


def song(seed: int, seconds: float = 4.5) -> NDArray[np.float32]:
    """Notes that no other seed has, ``[shape=(n,)], float32``, at :data:`RATE`."""
    random = np.random.default_rng(seed)
    notes = np.repeat(random.uniform(200, 2_000, round(10 * seconds)), RATE // 10)
    sound = 0.3 * np.sin(2 * np.pi * np.cumsum(notes) / RATE) + 0.01 * random.standard_normal(len(notes))
    samples: NDArray[np.float32] = sound.astype(np.float32)
    return samples


class Tree:
    """A folder of songs that grows; no two songs are alike."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.songs = 0
        folder.mkdir()

    def add(self, inside: str, songs: int = 1, *, name: str = "song {}.wav") -> Path:
        """Write songs into ``folder/inside``."""
        target = self.folder / inside
        target.mkdir(parents=True, exist_ok=True)
        for _ in range(songs):
            self.songs += 1
            soundfile.write(os.fsencode(target / name.format(self.songs)), song(self.songs), RATE)
        return target


def usual(folder: Path, *genres: str, songs: int = 4) -> Tree:
    """Genres that nothing is wrong with; Caz and Halk if none is named."""
    tree = Tree(folder)
    for genre in genres or ("Caz", "Halk"):
        tree.add(genre, songs)
    return tree


def with_system_folders(folder: Path) -> Tree:
    """Two genres, and a song in every folder that a system makes."""
    tree = usual(folder)
    for inside in SYSTEM_FOLDERS:
        tree.add(inside)
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / "Caz" / "._song 1.wav").write_bytes(b"\0\5\x16\7" + bytes(100))
    return tree


def split(folder: Path, splits: tuple[str, ...]) -> Tree:
    """Two genres in each split."""
    tree = Tree(folder)
    for name in splits:
        for genre in ("Caz", "Halk"):
            tree.add(f"{name}/{genre}", 4)
    return tree


def legacy(folder: Path, encoding: str) -> Tree:
    """Genres and songs whose names are bytes of an old code page."""
    tree = Tree(folder)
    for genre in LEGACY:
        tree.add(os.fsdecode(genre.encode(encoding)), 4, name=os.fsdecode("şarkı {}.wav".encode(encoding)))
    return tree


def decomposed(folder: Path) -> Tree:
    """A genre of which one half was copied from a Mac: its name is spelt with combining marks."""
    tree = usual(folder, "Caz")
    tree.add(unicodedata.normalize("NFC", "Türkü"), 2)
    tree.add(unicodedata.normalize("NFD", "Türkü"), 2)
    return tree


def lattice(folder: Path, size: int = 12) -> Tree:
    """Folders of which each links to all others: more paths than anybody can walk."""
    tree = usual(folder)
    for number in range(size):
        tree.add(f"Halk/{number}")
    for number in range(size):
        for other in range(size):
            (folder / "Halk" / str(number) / f"to {other}").symlink_to(f"../{other}")
    (folder / "Caz" / "up").symlink_to("..")
    (folder / "Caz" / "all").symlink_to(folder)
    return tree


def with_the_whole_system(folder: Path) -> Tree:
    """A genre that links to the root of the file system."""
    tree = usual(folder)
    (folder / "Halk" / "root").symlink_to("/")
    return tree


def shared(folder: Path) -> Tree:
    """An album that is in one genre, and linked to from another."""
    tree = usual(folder)
    tree.add("Halk/Album", 3)
    (folder / "Caz" / "Album").symlink_to("../Halk/Album")
    return tree
