"""Listening as a systemd service: the unit, its installation and its removal."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import time

from edge_runtime.errors import TmgcError, first_line, shortened
from edge_runtime.files import atomic_write

NAME = "tmgc"
"""Name of the unit, and of its state folder under ``/var/lib``."""

MISCONFIGURED = 78
"""Exit code of a service whose model cannot be trusted, or for which there is too little memory: systemd does not
restart it. EX_CONFIG of sysexits.h."""


def is_service() -> bool:
    """Whether systemd has started this process as a service of ``Type=notify``."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


PROGRAM = Path("/opt/tmgc")
"""The virtual environment of the service, with its model; home folders are invisible to the service."""

_UNIT = """\
[Unit]
Description=tmgc, classification of music genres from a microphone
After=sound.target network.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
User={user}
SupplementaryGroups=audio
StateDirectory={name}
CacheDirectory={name}
WorkingDirectory=%S/{name}
UMask=0027
Restart=always
RestartSec=5
RestartPreventExitStatus={misconfigured}
# A model is tried in a child process, which may run out of memory.
OOMPolicy=continue
# The watchdog is notified every second, also while waiting for a microphone.
WatchdogSec=60
# A trial of a file that does not end takes ten minutes.
TimeoutStartSec=1800
# Enough for a hop of 0.03 s; PortAudio can write a hundred thousand lines per second when a sound card dies.
LogRateLimitIntervalSec=30
LogRateLimitBurst=1000

# Without MemoryDenyWriteExecute=, under which PortAudio's callback cannot be created, and without ProcSubset=pid, since
# the interpreter reads the features of the processor from /proc/cpuinfo.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
DevicePolicy=closed
# Sound cards by number: the group char-alsa is empty if the service starts before the first card is present.
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


_LONGEST_COMMAND = 8_192
"""Characters; systemd reads a million in a line, and Linux starts a program with 130,000 in an argument."""

_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PROGRAM_FOLDER = re.compile(r"/[A-Za-z0-9._/-]*")


@dataclass(frozen=True)
class ServiceSettings:
    """Command and user of the service: all that is put into the unit, which must not become another line of it.

    Raises
    ------
    TmgcError
        A value has characters that a unit cannot hold, or the command is too long.
    """

    model: Path
    """The model file; the service must be able to read it."""
    options: tuple[str, ...] = ()
    """Further options of ``tmgc-listen``."""
    user: str = NAME
    """Name of the system user."""
    program: Path = PROGRAM
    """The virtual environment that contains ``bin/tmgc-listen``."""
    token_file: Path | None = None
    """The token of the page, created if it is missing; only the service's user may read it."""

    def __post_init__(self) -> None:
        if not _USER_NAME.fullmatch(self.user):
            raise TmgcError(
                "a user name consists of at most 31 lower-case letters, digits, _ and -, got "
                f"{shortened(self.user)}: leave --user out"
            )
        # in the first word of a command, systemd gives a meaning to other characters
        if not _PROGRAM_FOLDER.fullmatch(str(self.program)):
            raise TmgcError(
                "the program's folder must be an absolute path of ASCII letters, digits, ., _ and -, got "
                f"{shortened(str(self.program))}: install it in {PROGRAM}"
            )
        for text in (str(self.model), *self.options):
            if not text.isprintable():
                raise TmgcError(
                    "a service's model and options must be printable text in one line, got "
                    f"{shortened(text)}: rename the model or the device, or correct the option"
                )
        if sum(map(len, (str(self.model), *self.options))) > _LONGEST_COMMAND:
            raise TmgcError(
                f"a service's command has at most {_LONGEST_COMMAND} characters, got more: shorten an option"
            )


def unit_text(settings: ServiceSettings) -> str:
    """The content of the unit file.

    Parameters
    ----------
    settings : ServiceSettings

    Returns
    -------
    text : str
    """
    program = settings.program / "bin" / "tmgc-listen"
    token = () if settings.token_file is None else ("--token-file", str(settings.token_file))
    command = (str(program), "--model", str(settings.model), "--wait-device", "inf", *settings.options, *token)
    return _UNIT.format(
        command=" ".join(map(_quoted, command)), user=settings.user, name=NAME, misconfigured=MISCONFIGURED
    )


def _quoted(argument: str) -> str:
    """Quote an argument for ``ExecStart=`` (``systemd.service(5)``, command lines)."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped and not set(escaped) & set(" \t'\"\\;") else f'"{escaped}"'


UNITS = Path("/etc/systemd/system")
"""Folder of the administrator's units."""

STATE = Path("/var/lib") / NAME
"""The folder that ``StateDirectory=`` creates."""

CACHE = Path("/var/cache") / NAME
"""The folder that ``CacheDirectory=`` creates: which engine is fastest."""

TOKEN_FILE = STATE / "token"
"""The token of a page that other machines reach."""


def check_system(booted: Path = Path("/run/systemd/system")) -> None:
    """Check that systemd services can be installed and removed here.

    Parameters
    ----------
    booted : Path
        Exists where systemd runs (``sd_booted(3)``).

    Raises
    ------
    TmgcError
        Another init system runs, or the user is not root.
    """
    if not booted.is_dir():
        raise TmgcError(
            "a service needs systemd, which does not run here: start tmgc-listen by other means; "
            "tmgc-listen install-service --model FILE --dry-run prints the unit"
        )
    if os.geteuid() != 0:
        raise TmgcError(f"only root can change services, and this is another user: sudo {PROGRAM}/bin/tmgc-listen ...")


def install(settings: ServiceSettings, *, units: Path = UNITS) -> Path:
    """Copy the model, create the user, write the unit, and start it now and at every boot.

    If the service does not start, everything is rolled back: an earlier service runs again, with its model.

    Parameters
    ----------
    settings : ServiceSettings
        ``model`` is the file to copy.
    units : Path
        Folder of the unit.

    Returns
    -------
    unit : Path

    Raises
    ------
    TmgcError
        The program is not installed where the service can see it, a step fails, or the service does not start.
    """
    if not (settings.program / "bin" / "tmgc-listen").is_file():
        raise TmgcError(
            f"the service runs from {settings.program}, since home folders are invisible to it, and there is no tmgc: "
            f"sudo python3 -m venv {settings.program} && sudo {settings.program}/bin/pip install tmgc-*.whl"
        )
    _make_user(settings.user)
    if settings.token_file:
        make_token(settings.token_file, settings.user)
    model, unit = placed_model(settings), units / f"{NAME}.service"
    before = unit.read_bytes() if unit.exists() else None
    began = int(time())
    try:
        with _restored_on_failure(model):
            if settings.model.resolve() != model.resolve():
                with atomic_write(model) as partial:
                    shutil.copyfile(settings.model, partial)
            model.chmod(0o644)
            _start(unit, unit_text(replace(settings, model=model)).encode())
    except KeyboardInterrupt:
        _roll_back(unit, before)
        raise
    except TmgcError as error:
        reason = _last_error(since=began) or str(error)
        raise TmgcError(f"the service does not start: {reason}. {_roll_back(unit, before)}") from error
    return unit


def uninstall(*, units: Path = UNITS) -> Path:
    """Stop the service and remove its unit; its user and what :func:`left_behind` lists remain.

    Raises
    ------
    TmgcError
        There is no such service, or a step fails.
    """
    unit = units / f"{NAME}.service"
    if not unit.exists():
        raise TmgcError(f"there is no service to remove: {unit} does not exist")
    _run("systemctl", "disable", "--now", f"{NAME}.service")
    unit.unlink()
    _run("systemctl", "daemon-reload")
    return unit


def left_behind(*, units: Path = UNITS) -> list[Path]:
    """Folders of the service that :func:`uninstall` keeps.

    The last, if it exists, contains drop-ins of ``systemctl edit``, for example with a password.
    """
    additions = units / f"{NAME}.service.d"
    return [PROGRAM, STATE, CACHE, *([additions] if additions.exists() else [])]


def placed_model(settings: ServiceSettings) -> Path:
    """Path of the service's copy of the model."""
    return settings.program / "models" / settings.model.name


@contextmanager
def _restored_on_failure(path: Path) -> Iterator[None]:
    """Restore the file, or its absence, if the block fails."""
    before = path.with_name(f".before-{path.name}")
    before.unlink(missing_ok=True)
    if path.exists():
        os.link(path, before)  # a hard link is enough: atomic_write replaces the name
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        if before.exists():
            before.replace(path)
        raise
    finally:
        before.unlink(missing_ok=True)


def _roll_back(unit: Path, before: bytes | None) -> str:
    """Restore the unit, or its absence, and return a sentence about the result."""
    if before is None:
        with suppress(TmgcError):
            uninstall(units=unit.parent)
        return f"{unit} could not be removed" if unit.exists() else "It is removed again"
    try:
        _start(unit, before)
    except TmgcError as error:
        return f"The earlier one is restored, and does not start either: {error}"
    return "The earlier one is restored"


def _start(unit: Path, text: bytes) -> None:
    with atomic_write(unit) as partial:
        partial.write_bytes(text)
    _run("systemctl", "daemon-reload")
    _run("systemctl", "enable", unit.name)
    _run("systemctl", "restart", unit.name)


def _last_error(*, since: int) -> str:
    """The last error line of the service in the journal since a time (seconds of the epoch); empty if there is none."""
    command = ["journalctl", "--quiet", f"--unit={NAME}", f"--since=@{since}", "--output=cat"]
    with suppress(TmgcError):
        _run("journalctl", "--sync")
        journal = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
        errors = [line.removeprefix("error: ") for line in journal.splitlines() if line.startswith("error: ")]
        return errors[-1] if errors else ""
    return ""


def _make_user(name: str) -> None:
    import pwd  # Windows has none

    try:
        pwd.getpwnam(name)
    except KeyError:
        _run("useradd", "--system", "--user-group", "--home-dir", str(STATE), "--shell", "/usr/sbin/nologin", name)


def make_token(file: Path, user: str) -> None:
    """Write a new token to a file of the user's that nobody else may read; one that is there is kept.

    Parameters
    ----------
    file : Path
        Its folder is created if it is missing.
    user : str
    """
    import pwd

    file.parent.mkdir(parents=True, exist_ok=True)
    try:  # the folder belongs to the service: no link that it may have put there is followed
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return
    try:
        found = pwd.getpwnam(user)
        os.fchown(descriptor, found.pw_uid, found.pw_gid)
        os.write(descriptor, f"{secrets.token_urlsafe(24)}\n".encode())
    finally:
        os.close(descriptor)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise TmgcError(f"the program {command[0]} is needed and is not installed: install it with apt") from None
    if done.returncode != 0:
        reason = first_line(RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")).rstrip(".")
        raise TmgcError(f"{' '.join(command)} failed: {reason}. See: journalctl --unit {NAME}")
