"""Where a server listens, and who may ask it; checked without the packages of the ``serve`` extra."""

from __future__ import annotations

import os
import re
import socket
import stat
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from edge_runtime.errors import TmgcError, shortened

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8321

TOKEN_VARIABLE = "TMGC_TOKEN"

MIN_TOKEN, MAX_TOKEN = 16, 200
"""Characters of a token; ``openssl rand -hex 16`` gives 32."""

_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{{MIN_TOKEN},{MAX_TOKEN}}}")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}")


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, and who may ask it."""

    host: str = DEFAULT_HOST
    """Name or number of the interface."""
    port: int = DEFAULT_PORT
    """0 takes a free one."""
    token: str | None = None
    """What requests must bear; None lets anyone on this machine ask."""
    public_page: bool = False
    """Whether anyone may read the page and its stream; a post still bears the token."""
    names: tuple[str, ...] = ()
    """Further names by which clients may call this machine, as a reverse proxy does."""
    origins: tuple[str, ...] = ()
    """Pages of other servers, such as ``https://app.example``, whose scripts may ask."""

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.token is None:
            raise TmgcError(
                f"a server that other machines reach needs a token: {self.host} is reached by others, and there is "
                f"none. Set {TOKEN_VARIABLE} or --token-file (openssl rand -hex 16), or serve on {DEFAULT_HOST}"
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise TmgcError(
                f"a token consists of {MIN_TOKEN} to {MAX_TOKEN} letters, digits and . _ ~ -, and this one does not: "
                "openssl rand -hex 16 makes one"
            )
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise TmgcError(f"--allow-host is the name of a host, got {shortened(name)}: try music.example.org")
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise TmgcError(
                    f"--allow-origin is a scheme and a host, got {shortened(origin)}: try https://app.example.org"
                )


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of ``[HOST:]PORT``.

    Raises
    ------
    TmgcError
        It is no such address.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise TmgcError(f"an address is [HOST:]PORT with a port up to 65535, got {shortened(address)}: try 8321")
    return host or DEFAULT_HOST, int(port)


def page_address(host: str, port: int) -> str:
    """The address of the page; of a server of every interface, that which leads to other networks.

    Parameters
    ----------
    host : str
        Name or number of an interface.
    port : int
    """
    if host in ("0.0.0.0", "::"):
        host = _own_number(socket.AF_INET6 if ":" in host else socket.AF_INET) or f"{socket.gethostname()}.local"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _own_number(family: socket.AddressFamily) -> str | None:
    """The number of this machine on the way to other networks; nothing is sent."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))  # for documentation
        except OSError:
            return None
        found: str = probe.getsockname()[0]
        return found


def read_token(file: Path | None) -> str | None:
    """The token of a file, or else of the environment; None without one.

    Parameters
    ----------
    file : Path or None
        Only its owner may read it.

    Raises
    ------
    TmgcError
        The file cannot be read, or others can.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read(MAX_TOKEN + 2)
    except OSError as error:
        raise TmgcError(f"a token file must be readable: {file} is not ({error.strerror}). Check its path") from error
    if mode & 0o077:
        raise TmgcError(
            f"only its owner may read a token file: {file} has the mode {mode:04o}. Change it: chmod 600 {file}"
        )
    return content.strip()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an interface."""
    try:
        number = ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(number, "ipv4_mapped", None) or number).is_loopback
