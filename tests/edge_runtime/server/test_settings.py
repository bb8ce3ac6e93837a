"""Addresses and tokens, checked before anything is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.server.settings import TOKEN_VARIABLE, ServerSettings, parse_address, read_token

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8321", ("127.0.0.1", 8321)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:8321", ("::1", 8321)),
        ("pi.local:1", ("pi.local", 1)),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(address: str, expected: tuple[str, int]) -> None:
    assert parse_address(address) == expected


@pytest.mark.parametrize("address", ["", "http", "65536", "-1", "host:", "8321:host", "٣"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(TmgcError, match=r"an address is \[HOST:\]PORT"):
        parse_address(address)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "pi.local"])
def test_a_server_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(TmgcError, match="needs a token"):
        ServerSettings(host)
    assert ServerSettings(host, token=TOKEN).token == TOKEN


@pytest.mark.parametrize("token", ["short", "with a space in it", "x" * 201, "ğğğğğğğğğğğğğğğğ"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(TmgcError, match="a token consists of"):
        ServerSettings(token=token)


def test_only_the_owner_may_read_a_token_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    file.chmod(0o640)
    with pytest.raises(TmgcError, match="only its owner"):
        read_token(file)


def test_the_token_is_taken_from_the_environment_where_no_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert read_token(None) == TOKEN
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    assert read_token(None) is None


@pytest.mark.parametrize("options", [{"names": ("a b",)}, {"origins": ("*",)}, {"origins": ("https://a.b/path",)}])
def test_names_and_origins_are_those_of_hosts(options: dict[str, tuple[str]]) -> None:
    with pytest.raises(TmgcError, match="--allow-"):
        ServerSettings(**options)  # type: ignore[arg-type]
