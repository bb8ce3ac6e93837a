"""Collects the music: a folder for each package, which stands there only when it is complete.

An interruption loses the package or piece at work; the next call goes on with the others.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL, atomic_write, remove_partial
from train.open_music import MUSIC
from train.open_music.packages import AUDIO, MIDI, MODULES, download, field, need, unpack
from train.open_music.pieces import Studio, open_studio, write_piece
from train.open_music.sound import Synth, collect, seconds_of
from train.open_music.styles import FAMILIES
from train.progress import Reporter

LOG = logging.getLogger("tmgc.open_music")

MANIFEST = "packages.csv"

TOOLS = ".tools"
"""Folder of the collection with what is unpacked to synthesise pieces."""

SYNTHESISED = "synthesised"
"""Folder of the collection with the synthesised pieces."""

PIECES = 30
"""Of each family: 4 to 5 hours in all."""


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


def collect_open_music(
    folder: Path, *, packages: Iterable[str] = MUSIC, pieces: int = PIECES, reporter: Reporter | None = None
) -> list[Source]:
    """Collect the music of packages, synthesise pieces besides, and write ``packages.csv``.

    What is in the folder already is not made again, and is listed, too. A package that cannot be had is left out with a
    warning, and stands in ``packages.csv`` without a version; a piece that MMA refuses is left out with a warning, too.

    Parameters
    ----------
    folder : Path
        Made if it is missing. Each package has a folder in it, with its music and its copyright file.
    packages : iterable of str
    pieces : int >= 0
        Synthesised pieces of each family of styles.
    reporter : Reporter, optional
        Is told of the progress.

    Returns
    -------
    sources : list of Source
        Rows of ``packages.csv``, in order.

    Raises
    ------
    TmgcError
        Not a Debian or Ubuntu, or a program is missing that none of their packages could replace.
    """
    reporter = reporter or Reporter()
    need("ffmpeg", "ffmpeg")  # or all tracker modules would be left out
    studio = open_studio(folder / TOOLS)
    sources = collect_packages(folder, packages, studio.synths[0], reporter)
    if pieces:
        others = [source for source in sources if source.package != SYNTHESISED]
        sources = [*others, synthesise_pieces(folder, pieces, studio, reporter)]
        _write_manifest(folder, sources)
    return sources


def collect_packages(folder: Path, packages: Iterable[str], synth: Synth, reporter: Reporter) -> list[Source]:
    """Collect the music of packages, and write ``packages.csv``: see :func:`collect_open_music`.

    Parameters
    ----------
    folder : Path
    packages : iterable of str
    synth : Synth
        Plays MIDI files.
    reporter : Reporter

    Returns
    -------
    sources : list of Source
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    names = list(packages)
    sources = {path.parent.name: _describe(path.parent) for path in sorted(folder.glob("*/version"))}
    reporter.phase("packages", len(names))
    for name in names:
        if name not in sources:
            try:
                sources[name] = _collect_package(name, folder, synth)
            except TmgcError as error:
                LOG.warning("%s is left out: %s", name, error)
                sources[name] = Source(name, "", "", 0, 0.0)
        reporter.step({})
        _write_manifest(folder, sources.values())
    return list(sources.values())


def synthesise_pieces(folder: Path, pieces: int, studio: Studio, reporter: Reporter) -> Source:
    """Synthesise pieces of each family of styles: see :func:`collect_open_music`.

    Parameters
    ----------
    folder : Path
    pieces : int > 0
        Of each family.
    studio : Studio
    reporter : Reporter

    Returns
    -------
    source : Source
        Their row of ``packages.csv``.
    """
    synthesised = folder / SYNTHESISED
    synthesised.mkdir(exist_ok=True)
    remove_partial(synthesised)
    with atomic_write(synthesised / "copyright") as path:
        path.write_text(studio.licences, encoding="utf-8")
    with atomic_write(synthesised / "version") as path:
        path.write_text(f"{pieces} pieces of each of {len(FAMILIES)} families\n", encoding="utf-8")
    reporter.phase("synthesised pieces", pieces * len(FAMILIES))
    for number in range(pieces):
        for family in FAMILIES:
            try:
                write_piece(family, number, synthesised, studio)
            except TmgcError as error:
                LOG.warning("piece %d of %s is left out: %s", number, family, error)
            reporter.step({})
    return _describe(synthesised)


def _collect_package(name: str, folder: Path, synth: Synth) -> Source:
    with TemporaryDirectory(prefix=PARTIAL, dir=folder) as temporary:
        unpacked, collected = Path(temporary) / "unpacked", Path(temporary) / "collected"
        collected.mkdir()
        deb = download(name, Path(temporary))
        unpack(deb, unpacked, AUDIO | MODULES | MIDI)
        collect(unpacked, collected, name, synth)
        (unpacked / "copyright").replace(collected / "copyright")
        (collected / "version").write_text(field(deb, "Version") + "\n", encoding="utf-8")
        return _describe(collected.rename(folder / name))


def _describe(folder: Path) -> Source:
    """The row of ``packages.csv`` for a folder of the collection."""
    lengths = [seconds_of(path) for path in sorted(folder.iterdir()) if path.suffix]
    version = (folder / "version").read_text(encoding="utf-8").strip()
    return Source(folder.name, version, f"{folder.name}/copyright", len(lengths), round(sum(lengths), 1))


def _write_manifest(folder: Path, sources: Iterable[Source]) -> None:
    """Write ``packages.csv``."""
    with atomic_write(folder / MANIFEST) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Source)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(source) for source in sources)
