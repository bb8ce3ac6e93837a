"""The address of a broker is taken as it is written, or refused before anything connects."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.outputs.broker import MAX_LEVELS, PASSWORD_VARIABLE, Broker
from tests.edge_runtime.factories import listen_command


@pytest.fixture(autouse=True)
def no_password_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://host/topic", "its scheme is neither"),
        ("host/topic", "its scheme is neither"),
        ("", "its scheme is neither"),
        ("mqtt://", "its scheme is neither"),
        ("mqtt://host", "has no topic"),
        ("mqtt://host/", "has no topic"),
        ("mqtt:///topic", "has no host"),
        ("mqtt://user:secret@/topic", "has no host"),
        ("mqtt://host:99999/topic", "its port is invalid"),
        ("mqtt://host:0/topic", "its port is invalid"),
        ("mqtt://host:-1/topic", "its port is invalid"),
        ("mqtt://host:port/topic", "its port is invalid"),
        ("mqtt://host:1:2/topic", "its port is invalid"),
        ("mqtt://host:١٨٨٣/topic", "its port is invalid"),
        ("mqtt://a..b/topic", "its host is invalid"),
        ("mqtt://.host/topic", "its host is invalid"),
        ("mqtt://a b/topic", "its host is invalid"),
        ("mqtt://ho\nst/topic", "its host is invalid"),
        ("mqtt://ho%00st/topic", "its host is invalid"),
        (f"mqtt://{'a' * 64}.b/topic", "its host is invalid"),
        (f"mqtt://{'a.' * 130}b/topic", "its host is invalid"),
        ("mqtt://[::1/topic", "its port is invalid"),
        ("mqtt://[1::2::3]/topic", "its host is invalid"),
        ("mqtt://caf\udce9/topic", "its host is invalid"),
        ("mqtt://host/topic/#", "must not contain + or #"),
        ("mqtt://host/topic/%23", "must not contain + or #"),
        ("mqtt://host/a/+/b", "must not contain + or #"),
        ("mqtt://host/a/%2B/b", "must not contain + or #"),
        ("mqtt://host/$SYS/a", "must not begin with $"),
        ("mqtt://host/%24share/a/b", "must not begin with $"),
        ("mqtt://host/a%00b", "control or other invisible"),
        ("mqtt://host/a%0Ab", "control or other invisible"),
        ("mqtt://host/a\x1b[2Jb", "control or other invisible"),
        ("mqtt://host/a\u202eb", "control or other invisible"),
        ("mqtt://host/a//b", "a level of its topic is empty"),
        ("mqtt://host//a", "a level of its topic is empty"),
        ("mqtt://host/%20", "a level of its topic is empty, or begins or ends with a space"),
        ("mqtt://host/caf%e9", "its topic is not UTF-8"),
        ("mqtt://host/caf\udce9", "its topic is not UTF-8"),
        (f"mqtt://host/{'a' * 65_523}", "at most 199 levels and 65522 bytes"),
        (f"mqtt://host/{'ş' * 40_000}", "at most 199 levels and 65522 bytes"),
        (f"mqtt://host/{'a/' * MAX_LEVELS}b", "at most 199 levels and 65522 bytes"),
        ("mqtt://host/a?b", "only cafile=PATH is possible"),
        ("mqtts://host/a?capath=/etc", "only cafile=PATH is possible"),
        ("mqtts://host/a?cafile=", "only cafile=PATH is possible"),
        ("mqtt://host/a?cafile=ca.pem", "?cafile= is for TLS: begin with mqtts://"),
        ("mqtts://host/a?cafile=none.pem", "none.pem cannot be read (No such file or directory)"),
        (f"mqtts://host/a?cafile={__file__}", "is no certificate in PEM form"),
        ("mqtts://host/a?cafile=/", "/ cannot be read"),
        ("mqtt://:secret@host/a", "a password and no user"),
        ("mqtt://host/a@b", "is ambiguous. Write %40 for @"),
        ("mqtt://host:1883/a@b/c", "is ambiguous. Write %40 for @"),
        ("mqtts://host/a?cafile=/etc/a@b.pem", "is ambiguous. Write %40 for @"),
        ("mqtt://me:12/secret@host/a", "is ambiguous. Write %40 for @"),
        ("mqtt://me:secret%e9@host/a", "its password is not UTF-8"),
        ("mqtt://me:secret\udce9@host/a", "its password is not UTF-8"),
        ("mqtt://m%00e:secret@host/a", "its user name is longer than 65535 bytes or contains a zero"),
        (f"mqtt://me:{'secret' * 20_000}@host/a", "its password is longer than 65535 bytes"),
    ],
)
def test_an_invalid_url_is_refused_without_repeating_it(url: str, reason: str) -> None:
    with pytest.raises(TmgcError) as refused:
        Broker.from_url(url)
    assert reason in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_url_may_contain_user_password_port_and_escapes() -> None:
    assert Broker.from_url("mqtt://host/a/b") == Broker("host", 1883, "a/b", tls=False)
    assert Broker.from_url("mqtts://host/kahve%20evi/").topic == "kahve evi"
    assert Broker.from_url("MQTTS://host/a") == Broker("host", 8883, "a", tls=True)
    assert Broker.from_url("mqtt://host/a%40b%3F").topic == "a@b?"
    assert Broker.from_url("mqtt://müzik.example:1/kafe/müzik").host == "müzik.example"
    broker = Broker.from_url("mqtt://me:p%40ss@host:1/a")
    assert (broker.user, broker.password, broker.port) == ("me", "p@ss", 1)
    assert "p@ss" not in repr(broker)


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0"])
def test_an_ipv6_address_stands_in_brackets(host: str) -> None:
    broker = Broker.from_url(f"mqtt://[{host}]:1884/a")
    assert (broker.host, broker.port, broker.name) == (host, 1884, f"[{host}]:1884")
    assert Broker.from_url(f"mqtt://[{host}]/a").port == 1883


@pytest.mark.parametrize("password", ["pa#ss", "pa/ss", "p?a=s", "p@ss@", "pa:ss:", "100%", "p a", "şifre", "#", "?"])
def test_a_password_may_contain_what_separates_the_parts_of_a_url(password: str) -> None:
    broker = Broker.from_url(f"mqtt://me:{password}@host:1884/kafe")
    assert broker == Broker("host", 1884, "kafe", tls=False, user="me", password=password)


def test_the_password_of_the_environment_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "12/%40#?@:")
    assert Broker.from_url("mqtt://me@host/a").password == "12/%40#?@:"
    assert Broker.from_url("mqtt://me:other@host/a").password == "other"


@pytest.mark.parametrize(
    "url", ["mqtt://host/%23", "mqtt://a..b/c", f"mqtt://host/{'a' * 70_000}", "mqtt://a/\x1b]0;x"]
)
def test_the_command_refuses_in_one_line(url: str, models: dict[str, Path]) -> None:
    done = listen_command("song.wav", "--model", models["tflite"], "--mqtt", url)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: --mqtt must be mqtt://")
    assert done.stderr.count("\n") == 1
    assert not done.stdout
