"""Run a program under what a unit allows, as far as it can be set without systemd.

``restricted.py UNIT STATE COMMAND``: the system is read-only but for the folder STATE, there are no capabilities and no
new privileges, the only group beside the user's is audio, and the kernel refuses the system calls that the unit's
``SystemCallFilter`` leaves out. Needs root.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_ALLOW = 0x7FFF0000
_REFUSE_AS_NOT_PERMITTED = 0x00050000 | 1
"""``SCMP_ACT_ALLOW`` and ``SCMP_ACT_ERRNO(EPERM)`` of ``seccomp.h``."""

_MOUNTS = 'mount --bind "$1" "$1" && mount -o remount,bind,ro / && exec "${@:2}"'


def main(unit: Path, state: Path, command: list[str]) -> None:
    """Enter the restrictions that need root, then start anew without it for the rest."""
    own_mounts = ["unshare", "--mount", "bash", "-c", _MOUNTS, "restricted", str(state)]
    no_rights = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--groups=audio"]
    filtered = [sys.executable, str(Path(__file__).resolve()), "--filter", str(unit)]
    os.execvp(own_mounts[0], [*own_mounts, *no_rights, *filtered, *command])


def filter_calls(unit: Path, command: list[str]) -> None:
    """Have the kernel refuse what the unit's filter leaves out, then run the command."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_REFUSE_AS_NOT_PERMITTED)))
    for name in allowed_calls(unit):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others are of other processors
            seccomp.seccomp_rule_add(rules, ctypes.c_uint32(_ALLOW), number, 0)
    if seccomp.seccomp_load(rules) != 0:
        sys.exit("the kernel takes no filter of system calls")
    os.execvp(command[0], command)


def allowed_calls(unit: Path) -> set[str]:
    """Names of the system calls that the lines ``SystemCallFilter`` of a unit leave."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager"]
    sets = _sets(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    allowed = set(_expanded("@default", sets))
    for line in unit.read_text("utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "SystemCallFilter":
            named = {call for item in value.lstrip("~").split() for call in _expanded(item, sets)}
            allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def _sets(listing: str) -> dict[str, list[str]]:
    sets: dict[str, list[str]] = {}
    for line in listing.splitlines():
        if line.startswith("@"):
            members = sets[line.strip()] = []
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())
    return sets


def _expanded(item: str, sets: dict[str, list[str]]) -> list[str]:
    return [call for member in sets[item] for call in _expanded(member, sets)] if item.startswith("@") else [item]


if __name__ == "__main__":
    if sys.argv[1] == "--filter":
        filter_calls(Path(sys.argv[2]), sys.argv[3:])
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
