"""Putting the service in place, and taking it away again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import written_whole
from edge_runtime.service.unit import NAME, PROGRAM, ServiceSettings, unit_text

UNITS = Path("/etc/systemd/system")
"""Where an administrator's units stand."""


def check_system(booted: Path = Path("/run/systemd/system")) -> None:
    """Whether services can be changed here.

    Parameters
    ----------
    booted : Path
        Is a folder where systemd runs (``sd_booted(3)``).

    Raises
    ------
    TmgcError
        Another init system runs, or another user than root asks.
    """
    if not booted.is_dir():
        raise TmgcError(
            "a service needs systemd, which does not run here: start tmgc-listen by other means; "
            "tmgc-listen install-service --model FILE --dry-run shows what systemd would be told"
        )
    if os.geteuid() != 0:
        raise TmgcError(
            f"services are changed by root alone, and this is another user: sudo {PROGRAM}/bin/tmgc-listen ..."
        )


def install(settings: ServiceSettings, *, units: Path = UNITS) -> Path:
    """Copy the model beside the program, make the user, write the unit, and start it now and at every boot.

    Parameters
    ----------
    settings : ServiceSettings
        ``model`` is the file to copy.
    units : Path

    Returns
    -------
    unit : Path

    Raises
    ------
    TmgcError
        The program is not where the service can see it, or the system refuses a step.
    """
    if not (settings.program / "bin" / "tmgc-listen").is_file():
        raise TmgcError(
            f"the service runs from {settings.program}, since it sees no home folders, and tmgc is not installed "
            f"there: sudo python3 -m venv {settings.program} && sudo {settings.program}/bin/pip install tmgc-*.whl"
        )
    model = placed_model(settings)
    if settings.model.resolve() != model.resolve():
        with written_whole(model) as partial:
            shutil.copyfile(settings.model, partial)
    model.chmod(0o644)
    _make_user(settings.user)
    unit = units / f"{NAME}.service"
    with written_whole(unit) as partial:
        partial.write_text(unit_text(replace(settings, model=model)), "utf-8")
    _run("systemctl", "daemon-reload")
    _run("systemctl", "enable", f"{NAME}.service")
    _run("systemctl", "restart", f"{NAME}.service")
    return unit


def uninstall(*, units: Path = UNITS) -> Path:
    """Stop the service and take its unit away. Its program, its user and its state stay.

    Raises
    ------
    TmgcError
        There is no such service, or the system refuses a step.
    """
    unit = units / f"{NAME}.service"
    if not unit.exists():
        raise TmgcError(f"there is no service to take away: {unit} does not exist")
    _run("systemctl", "disable", "--now", f"{NAME}.service")
    unit.unlink()
    _run("systemctl", "daemon-reload")
    return unit


def placed_model(settings: ServiceSettings) -> Path:
    """Where the service finds its copy of the model."""
    return settings.program / "models" / settings.model.name


def _make_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        home = f"/var/lib/{NAME}"
        _run("useradd", "--system", "--user-group", "--home-dir", home, "--shell", "/usr/sbin/nologin", name)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise TmgcError(f"the program {command[0]} is needed, and there is none: install it with apt") from None
    if done.returncode != 0:
        said = first_line(RuntimeError(done.stderr.strip() or f"exit code {done.returncode}"))
        raise TmgcError(f"the system refuses {' '.join(command)}: {said}. Look into: journalctl --unit {NAME}")
