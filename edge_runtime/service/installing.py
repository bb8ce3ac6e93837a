"""Putting the service in place, and taking it away again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import time

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import written_whole
from edge_runtime.service.unit import NAME, PROGRAM, ServiceSettings, unit_text

UNITS = Path("/etc/systemd/system")
"""Where an administrator's units stand."""

STATE = Path("/var/lib") / NAME
"""What ``StateDirectory=`` of the unit makes."""


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

    A service that does not start is taken back: an earlier one runs again, with its model.

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
        The program is not where the service can see it, the system refuses a step, or the service does not start.
    """
    if not (settings.program / "bin" / "tmgc-listen").is_file():
        raise TmgcError(
            f"the service runs from {settings.program}, since it sees no home folders, and tmgc is not installed "
            f"there: sudo python3 -m venv {settings.program} && sudo {settings.program}/bin/pip install tmgc-*.whl"
        )
    _make_user(settings.user)
    model, unit = placed_model(settings), units / f"{NAME}.service"
    before = unit.read_bytes() if unit.exists() else None
    began = int(time())
    try:
        with _as_it_was_on_failure(model):
            if settings.model.resolve() != model.resolve():
                with written_whole(model) as partial:
                    shutil.copyfile(settings.model, partial)
            model.chmod(0o644)
            _start(unit, unit_text(replace(settings, model=model)).encode())
    except KeyboardInterrupt:
        _take_back(unit, before)
        raise
    except TmgcError as error:
        reason = _last_error(since=began) or str(error)
        raise TmgcError(f"the service does not start: {reason}. {_take_back(unit, before)}") from error
    return unit


def uninstall(*, units: Path = UNITS) -> Path:
    """Stop the service and take its unit away; what :func:`left_behind` names stays, and its user.

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


def left_behind(*, units: Path = UNITS) -> list[Path]:
    """Folders of the service that :func:`uninstall` leaves as they are.

    The last, where it exists, holds what ``systemctl edit`` has added, for example a password.
    """
    additions = units / f"{NAME}.service.d"
    return [PROGRAM, STATE, *([additions] if additions.exists() else [])]


def placed_model(settings: ServiceSettings) -> Path:
    """Where the service finds its copy of the model."""
    return settings.program / "models" / settings.model.name


@contextmanager
def _as_it_was_on_failure(path: Path) -> Iterator[None]:
    """The file is what it was, or is not there, where what follows fails."""
    before = path.with_name(f".before-{path.name}")
    before.unlink(missing_ok=True)
    if path.exists():
        os.link(path, before)  # no copy: written_whole puts a new file under the name
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        if before.exists():
            before.replace(path)
        raise
    finally:
        before.unlink(missing_ok=True)


def _take_back(unit: Path, before: bytes | None) -> str:
    """Have the unit be what it was before, if it was; says what came of it."""
    if before is None:
        with suppress(TmgcError):
            uninstall(units=unit.parent)
        return f"{unit} could not be taken away" if unit.exists() else "It is taken away again"
    try:
        _start(unit, before)
    except TmgcError as error:
        return f"The earlier one is put back, and does not start either: {error}"
    return "The earlier one is put back"


def _start(unit: Path, text: bytes) -> None:
    with written_whole(unit) as partial:
        partial.write_bytes(text)
    _run("systemctl", "daemon-reload")
    _run("systemctl", "enable", unit.name)
    _run("systemctl", "restart", unit.name)


def _last_error(*, since: int) -> str:
    """What the service has ended with since a time in seconds of the epoch, in its own words; empty if it said none."""
    command = ["journalctl", "--quiet", f"--unit={NAME}", f"--since=@{since}", "--output=cat"]
    with suppress(TmgcError):
        _run("journalctl", "--sync")
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
        errors = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
        return errors[-1] if errors else ""
    return ""


def _make_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        _run("useradd", "--system", "--user-group", "--home-dir", str(STATE), "--shell", "/usr/sbin/nologin", name)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise TmgcError(f"the program {command[0]} is needed, and there is none: install it with apt") from None
    if done.returncode != 0:
        said = first_line(RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")).rstrip(".")
        raise TmgcError(f"the system refuses {' '.join(command)}: {said}. Look into: journalctl --unit {NAME}")
