"""The corpus: what people have on their disks, and what nobody should."""

from __future__ import annotations

import os
from collections.abc import Sequence
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


class Corpus:
    """A folder in which every file is made when it is asked for.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_secret(folder)

    def path(self, file: OddFile) -> Path:
        """Of a file.

        Raises
        ------
        MissingTool
            It cannot be made here.
        """
        path = self.folder / file.name
        if not os.path.lexists(path):
            file.make(path)
        return path

    def made(self, files: Sequence[OddFile]) -> list[OddFile]:
        """Make files; those that can be made here."""
        with ThreadPoolExecutor(2) as threads:
            return [file for file, made in zip(files, threads.map(self._is_made, files), strict=True) if made]

    def _is_made(self, file: OddFile) -> bool:
        try:
            self.path(file)
        except MissingTool:
            return False
        return True
