"""The address of a topic on an MQTT broker, checked before anything connects to it."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from edge_runtime.errors import TmgcError

PASSWORD_VARIABLE = "TMGC_MQTT_PASSWORD"
"""Unlike the arguments of a process, its environment is not shown to every user of the machine."""

AVAILABILITY = "/availability"
"""Ending of the topic that says whether the listener is online."""

MAX_BYTES = 65_535
"""Longest topic, user name or password of MQTT, as UTF-8."""

MAX_LEVELS = 199
"""Levels of a topic. Mosquitto disconnects a client that uses more than 200, and :data:`AVAILABILITY` is another."""

_FORM = "mqtt://[user[:password]@]host[:port]/topic"
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class Broker:
    """Address of a topic on an MQTT broker."""

    host: str
    port: int
    topic: str
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: Path | None = None
    """Certificates of the authorities to trust, PEM; None for those of the system."""

    @property
    def name(self) -> str:
        """For messages: without user and password."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def availability_topic(self) -> str:
        """Topic of ``online`` and ``offline``."""
        return self.topic + AVAILABILITY

    @classmethod
    def from_url(cls, url: str) -> Broker:
        """Parse ``mqtt://[user[:password]@]host[:port]/topic``, or ``mqtts://...[?cafile=PATH]`` with TLS.

        Everything before the last ``@`` is user and password, so that a password may contain ``/ # ? : @`` as they are;
        an ``@`` in a topic is written ``%40``. Without a password, :data:`PASSWORD_VARIABLE` is used.

        Raises
        ------
        TmgcError
            The URL is invalid, or ``cafile`` cannot be used. The message does not repeat the URL, since it may contain
            a password.
        """
        scheme, _, rest = url.partition("://")
        scheme = scheme.lower()
        if scheme not in _PORTS or not rest:
            _refuse("its scheme is neither mqtt:// nor mqtts://")
        login, _, address = rest.rpartition("@")
        user, password = _login(login) if login else (None, None)
        location, _, query = address.partition("?")
        server, _, path = location.partition("/")
        host, port = _server(server)
        broker = cls(
            host,
            port or _PORTS[scheme],
            _topic(path),
            tls=scheme == "mqtts",
            user=_checked("user name", user),
            password=_checked("password", password or os.environ.get(PASSWORD_VARIABLE)),
            cafile=_cafile(query) if query else None,
        )
        if broker.cafile and not broker.tls:
            _refuse("?cafile= is for TLS: begin with mqtts://")
        if broker.tls:
            broker.tls_context()
        return broker

    def tls_context(self) -> ssl.SSLContext:
        """Trusts :attr:`cafile` alone, or the system's authorities.

        Raises
        ------
        TmgcError
            The file is missing, or holds no certificate.
        """
        try:
            return ssl.create_default_context(cafile=self.cafile)
        except OSError as error:
            reason = (
                "is no certificate in PEM form"
                if isinstance(error, ssl.SSLError)
                else f"cannot be read ({error.strerror})"
            )
            raise TmgcError(
                f"?cafile= must name the certificate of the authority that signed the broker's: {self.cafile} "
                f"{reason}. "
                "Copy it from the broker, where it is Mosquitto's cafile"
            ) from error


def _refuse(reason: str) -> NoReturn:
    raise TmgcError(f"--mqtt must be {_FORM}: {reason}")


def _login(text: str) -> tuple[str, str | None]:
    user, _, password = text.partition(":")
    if set(user) & set("/?#") or re.match(r"\d*/", password):  # rather a host, its port and a topic with an @
        _refuse(
            "an @ in its topic, or a / in its user name or at the beginning of its password, is ambiguous. Write "
            f"%40 for @ and %2F for /, or pass the password as {PASSWORD_VARIABLE}"
        )
    if not user:
        _refuse("it has a password and no user")
    return _unquoted("user name", user), _unquoted("password", password)


def _server(text: str) -> tuple[str, int | None]:
    """Host and port; the latter may be missing."""
    host, port = re.fullmatch(r"(\[.*\]|[^:]*):?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if not host:
        _refuse("it has no host")
    if (port and not re.fullmatch(r"0*[1-9][0-9]{0,4}", port)) or int(port or 1) > 65_535:
        _refuse("its port is invalid: a number from 1 to 65535 stands between host and topic")
    try:
        if host.startswith("["):
            return str(ip_address(host[1:-1])), int(port) if port else None
        valid = len(host.encode("idna")) <= 253 and re.fullmatch(r"[\w.-]+", host)
    except ValueError:  # UnicodeError, where a label is empty or too long, is one
        valid = False
    if not valid:
        _refuse("its host is invalid: a name, an IPv4 address, or an IPv6 address in brackets")
    return host, int(port) if port else None


def _topic(path: str) -> str:
    topic = _unquoted("topic", path.removesuffix("/"))
    levels = topic.split("/")
    if not topic:
        _refuse("it has no topic")
    if set("+#") & set(topic):
        _refuse("a topic must not contain + or #, which are for subscriptions")
    if topic.startswith("$"):
        _refuse("a topic must not begin with $: those belong to the broker")
    if not topic.isprintable():
        _refuse("a topic must not contain control or other invisible characters")
    if any(not level or level != level.strip() for level in levels):
        _refuse("a level of its topic is empty, or begins or ends with a space")
    if len(levels) > MAX_LEVELS or len((topic + AVAILABILITY).encode()) > MAX_BYTES:
        _refuse(f"a topic has at most {MAX_LEVELS} levels and {MAX_BYTES - len(AVAILABILITY)} bytes")
    return topic


def _cafile(query: str) -> Path:
    name, _, value = query.partition("=")
    if name != "cafile" or not value:
        _refuse("behind ? only cafile=PATH is possible. Write %3F for a ? in the topic")
    return Path(_unquoted("cafile", value)).expanduser()


def _unquoted(what: str, text: str) -> str:
    """Without percent escapes."""
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeError:
        _refuse(f"its {what} is not UTF-8")


def _checked(what: str, text: str | None) -> str | None:
    try:
        if text and (len(text.encode("utf-8")) > MAX_BYTES or "\0" in text):
            _refuse(f"its {what} is longer than {MAX_BYTES} bytes or contains a zero")
    except UnicodeError:
        _refuse(f"its {what} is not UTF-8")
    return text
