"""Collects the music: a folder for each package, which stands there only when it is complete."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL, atomic_write, remove_partial
from train.open_music.packages import AUDIO, MIDI, MODULES, download, field, unpack
from train.open_music.sound import collect, seconds_of

LOG = logging.getLogger("tmgc.open_music")

MANIFEST = "packages.csv"


@dataclass(frozen=True)
class Source:
    """A row of ``packages.csv``."""

    package: str
    version: str
    """Empty where the package could not be had."""
    licence: str
    """Path of its copyright file in the collection."""
    files: int
    seconds: float


def collect_packages(names: Iterable[str], folder: Path, *, sound_font: Path | None) -> list[Source]:
    """Collect the music of packages, and write ``packages.csv``.

    A package that is in the folder is not downloaded again; one that cannot be had is left out with a warning.

    Parameters
    ----------
    names : iterable of str
    folder : Path
        Made if it is missing.
    sound_font : Path or None
        General MIDI sound font for MIDI files; without one they are left out.

    Returns
    -------
    sources : list of Source
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    sources = []
    for name in names:
        try:
            sources.append(_collect_package(name, folder, sound_font))
        except TmgcError as error:
            LOG.warning("%s is left out: %s", name, error)
            sources.append(Source(name, "", "", 0, 0.0))
        write_manifest(folder, sources)
    return sources


def _collect_package(name: str, folder: Path, sound_font: Path | None) -> Source:
    done = folder / name
    if not done.is_dir():
        with TemporaryDirectory(prefix=PARTIAL, dir=folder) as temporary:
            unpacked, collected = Path(temporary) / "unpacked", Path(temporary) / "collected"
            collected.mkdir()
            deb = download(name, Path(temporary))
            unpack(deb, unpacked, AUDIO | MODULES | MIDI)
            collect(unpacked, collected, name, sound_font)
            (unpacked / "copyright").replace(collected / "copyright")
            (collected / "version").write_text(field(deb, "Version") + "\n", encoding="utf-8")
            collected.rename(done)
    return describe(done)


def describe(folder: Path) -> Source:
    """The row of ``packages.csv`` for a folder of the collection."""
    lengths = [seconds_of(path) for path in sorted(folder.iterdir()) if path.suffix]
    version = (folder / "version").read_text(encoding="utf-8").strip()
    return Source(folder.name, version, f"{folder.name}/copyright", len(lengths), round(sum(lengths), 1))


def write_manifest(folder: Path, sources: Iterable[Source]) -> None:
    """Write ``packages.csv``."""
    with atomic_write(folder / MANIFEST) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Source)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(source) for source in sources)
