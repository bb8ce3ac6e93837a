"""The systemd unit of the service: what it runs, and what it may not do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
