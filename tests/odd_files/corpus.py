"""The corpus: what people have on their disks, and what nobody should."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.odd_files.compressed import COMPRESSED_FILES
from tests.odd_files.encoders import MissingTool
from tests.odd_files.mpeg import MPEG_FILES
from tests.odd_files.no_audio import NAMED_FILES, NO_AUDIO_FILES, SPECIAL_FILES, write_secret
from tests.odd_files.odd_file import OddFile
from tests.odd_files.ogg_flac import FLAC_FILES, OGG_FILES
from tests.odd_files.pcm import PCM_FILES, WAV_FILES

ODD_FILES: tuple[OddFile, ...] = (
    *MPEG_FILES,
    *OGG_FILES,
    *FLAC_FILES,
    *WAV_FILES,
    *PCM_FILES,
    *COMPRESSED_FILES,
    *NO_AUDIO_FILES,
    *SPECIAL_FILES,
    *NAMED_FILES,
)


def write_corpus(folder: Path) -> dict[str, str]:
    """Write every file into a folder.

    Returns
    -------
    missing : dict of str to str
        By the name of a file that cannot be made here, the reason.
    """
    write_secret(folder)
    with ThreadPoolExecutor(2) as threads:
        made = threads.map(lambda file: _write(file, folder), ODD_FILES)
        return {file.name: reason for file, reason in zip(ODD_FILES, made, strict=True) if reason}


def _write(file: OddFile, folder: Path) -> str:
    try:
        file.make(folder / file.name)
    except MissingTool as missing:
        return str(missing)
    return ""
