"""Programs of Debian and Ubuntu: those that are installed, or unpacked into a folder where they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import PARTIAL, remove_partial
from train.open_music.packages import download, need


@dataclass(frozen=True)
class Program:
    """A program and what it needs to run."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> bytes:
        """Run it.

        Returns
        -------
        output : bytes
            Its standard output.

        Raises
        ------
        TmgcError
            It fails.
        """
        command = [*self.command, *arguments]
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, check=False)
        if done.returncode:
            reason = first_line(RuntimeError(done.stderr.decode(errors="replace")))
            raise TmgcError(f"{Path(self.command[-1]).name} failed ({reason}): see that it runs by itself")
        return done.stdout


def find_program(name: str, libraries: tuple[str, ...], folder: Path, data: Mapping[str, str] | None = None) -> Program:
    """Find a program, or unpack the package of the same name.

    Parameters
    ----------
    name : str
    libraries : tuple of str
        Packages that it needs and that a system without it may lack.
    folder : Path
        Where packages are unpacked.
    data : mapping of str to str, optional
        Variables by which a program that is unpacked finds its data: a pattern of the folder for each.

    Raises
    ------
    TmgcError
        It is not installed, and unpacked it does not run.
    """
    installed = shutil.which(name)
    if installed:
        return Program((installed,))
    root = unpack_packages((name, *libraries), folder)
    found = {str(path.parent) for path in root.glob("usr/lib/**/*.so*")}
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(sorted(found))}
    environment |= {variable: str(next(root.glob(pattern), root)) for variable, pattern in (data or {}).items()}
    program = Program((str(root / "usr/bin" / name),), environment)
    try:
        program.run("--version")
    except (TmgcError, OSError) as error:
        raise TmgcError(f"{name} is needed and does not run from its package: apt install {name}") from error
    return program


def unpack_packages(names: tuple[str, ...], folder: Path) -> Path:
    """Unpack whole packages into a folder of the first one's name, if it is not there yet.

    Returns
    -------
    root : Path
        Where their file tree begins.
    """
    root = folder / names[0]
    if not root.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial(folder)
        with TemporaryDirectory(prefix=PARTIAL, dir=folder) as temporary:
            tree = Path(temporary) / "tree"
            for name in names:
                deb = download(name, Path(temporary))
                Program((need("dpkg-deb", "dpkg"),)).run("-x", str(deb), str(tree))
            tree.rename(root)
    return root
