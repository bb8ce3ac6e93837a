"""Listening as a service of systemd: its unit, putting it in place, and keeping the service manager informed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import time

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write

NAME = "tmgc"
"""Of the unit, and of the folder of its state under ``/var/lib``."""

PROGRAM = Path("/opt/tmgc")
"""The virtual environment that the service runs from, and the folder of its model. The service sees no home folders."""

_UNIT = """\
[Unit]
Description=tmgc, which names the genre of the music that it hears
After=sound.target network.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
User={user}
SupplementaryGroups=audio
StateDirectory={name}
WorkingDirectory=%S/{name}
UMask=0027
Restart=always
RestartSec=5
# It says every second that it lives, also while it waits for a microphone.
WatchdogSec=60
TimeoutStartSec=180
# Enough for a hop of 0.03 s; a sound card that dies can make PortAudio complain a hundred thousand times a second.
LogRateLimitIntervalSec=30
LogRateLimitBurst=1000

# MemoryDenyWriteExecute is left out, since PortAudio's callback cannot be made under it, and ProcSubset=pid, since the
# interpreter finds out in /proc/cpuinfo which instructions the processor has.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
DevicePolicy=closed
# Sound cards by their number: the name char-alsa is empty where the service starts before the first card is there.
DeviceAllow=char-116 rw
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class ServiceSettings:
    """What the service runs, and as whom."""

    model: Path
    """The model file, where the service can read it."""
    options: tuple[str, ...] = ()
    """Further options of ``tmgc-listen``."""
    user: str = NAME
    """Name of the system's user that it runs as."""
    program: Path = PROGRAM
    """The virtual environment that holds ``bin/tmgc-listen``."""


def unit_text(settings: ServiceSettings) -> str:
    """The unit file.

    Parameters
    ----------
    settings : ServiceSettings
    """
    program = settings.program / "bin" / "tmgc-listen"
    command = (str(program), "--model", str(settings.model), "--wait-device", "inf", *settings.options)
    return _UNIT.format(command=" ".join(map(_quoted, command)), user=settings.user, name=NAME)


def _quoted(argument: str) -> str:
    """An argument as ``ExecStart=`` takes it, whatever it holds (``systemd.service(5)``, command lines)."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped and not set(escaped) & set(" \t'\"\\;") else f'"{escaped}"'


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
                with atomic_write(model) as partial:
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
        os.link(path, before)  # no copy: atomic_write puts a new file under the name
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
    with atomic_write(unit) as partial:
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
