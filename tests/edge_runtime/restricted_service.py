"""Run a program under what a unit allows, as far as it can be set without systemd.

``restricted_service.py UNIT STATE SEEN COMMAND``: the user is nobody and the only further group audio; there are no
capabilities and no new privileges; ``/tmp`` and the homes are empty but for the folders STATE and SEEN (paths joined by
``:``); the system is read-only but for ``/tmp`` and STATE; and the kernel refuses the system calls and the families of
sockets that the unit leaves out. Needs root.

Left out are ``DeviceAllow=``, which is a program in a control group of systemd's, and what takes from such a user only
what it has no rights to, or a view: ``ProtectProc=``, ``ProtectHostname=``, ``ProtectKernelTunables=`` and their like,
``RestrictNamespaces=``, ``RestrictRealtime=``, ``RestrictSUIDSGID=``, ``LockPersonality=`` and ``RemoveIPC=``.
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

_ALLOW = 0x7FFF0000
_REFUSE_AS_NOT_PERMITTED = 0x00050000 | 1
"""``SCMP_ACT_ALLOW`` and ``SCMP_ACT_ERRNO(EPERM)`` of ``seccomp.h``."""

_EQUAL = 4
"""``SCMP_CMP_EQ``."""

USER = 65_534
"""Number of ``nobody`` and of its group, in whose place systemd puts the unit's user."""

_MOUNTS = """
set -e
IFS=: read -ra seen <<<"$2"
for covered in /tmp /root /home; do
    mount -t tmpfs -o mode=1777 tmpfs /mnt
    for folder in "${seen[@]}" "$1"; do
        [[ $folder = $covered/* ]] || continue
        inside=/mnt/${folder#"$covered/"}
        mkdir -p "$inside"
        mount --bind "$folder" "$inside"
        [ "$folder" = "$1" ] || mount -o remount,bind,ro "$inside"
    done
    mount --move /mnt "$covered"
    [ "$covered" = /tmp ] || mount -o remount,ro "$covered"
done
mount --bind "$1" "$1"
mount -o remount,bind,ro /
cd "$PWD"  # the same folder, but below the new mounts
exec "${@:3}"
"""


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``: what an argument of a system call must be."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("_unused", ctypes.c_uint64),
    )


def main(unit: Path, state: Path, seen: str, command: list[str]) -> None:
    """Enter the restrictions that need root, then start anew without it for the rest."""
    own_mounts = ["unshare", "--mount", "bash", "-c", _MOUNTS, "restricted", str(state), seen]
    another = [f"--reuid={USER}", f"--regid={USER}", "--groups=audio"]
    no_rights = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", *another]
    filtered = [sys.executable, str(Path(__file__).resolve()), "--filter", str(unit)]
    os.execvp(own_mounts[0], [*own_mounts, *no_rights, *filtered, *command])


def filter_calls(unit: Path, command: list[str]) -> None:
    """Have the kernel refuse what the unit's filter leaves out, then run the command."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_REFUSE_AS_NOT_PERMITTED)))
    for name in allowed_calls(unit) - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others are of other processors
            seccomp.seccomp_rule_add(rules, ctypes.c_uint32(_ALLOW), number, 0)
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in allowed_families(unit):
        only = _Comparison(0, _EQUAL, family, 0)
        seccomp.seccomp_rule_add_array(rules, ctypes.c_uint32(_ALLOW), number, 1, ctypes.byref(only))
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


def allowed_families(unit: Path) -> set[int]:
    """Numbers of the families of sockets that the line ``RestrictAddressFamilies`` of a unit names."""
    named = re.search(r"^RestrictAddressFamilies=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    return {getattr(socket, family) for family in named[1].split()} if named else set()


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
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
