"""Who may ask a server, and what its responses say to a browser."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_runtime.server import access
from edge_runtime.server.access import MAX_FAILURES
from edge_runtime.server.running import Server
from tests.conftest import until
from tests.edge_runtime.server.conftest import Answer, request, wav

Serve = Callable[..., Server]

TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def post(server: Server, headers: dict[str, str]) -> Answer:
    return request(server.address, "/v1/classify", body=wav(2.1), headers=headers)


def test_without_its_token_a_request_is_refused(serve: Serve) -> None:
    server = serve(token=TOKEN)
    assert request(server.address, "/v1/models").status == 401
    assert request(server.address, "/metrics").status == 401
    refused = post(server, {})
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert request(server.address, "/v1/models", headers=BEARER).status == 200
    assert post(server, BEARER).status == 200


def test_what_holds_no_secret_needs_no_token(serve: Serve) -> None:
    server = serve(token=TOKEN)
    for path in ("/", "/app.js", "/icon.svg", "/openapi.json", "/health/live", "/health/ready"):
        assert request(server.address, path).status == 200


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics%0A", "/v1/now%0A", "/app.js%0A", "/v2", "/nothing", "//", "/health/", "/docs/app.js"]
)
def test_every_other_path_needs_the_token_however_it_is_written(path: str, serve: Serve) -> None:
    server = serve(token=TOKEN, public_page=True)
    assert request(server.address, path).status == 401


def test_wrong_tokens_wait_for_their_refusal_and_hold_up_nobody(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "FAILURE_SECONDS", 4.0)  # all of them ask before the first is refused
    server = serve(token=TOKEN)
    wrong = ["0123456789abcdeF", "é" * 16, *["0" * 16] * 30]

    def ask(token: str) -> tuple[int, float]:
        begun = monotonic()
        headers: Any = {"Authorization": b"Bearer " + token.encode("latin-1")}
        return request(server.address, "/v1/models", headers=headers).status, monotonic() - begun

    with ThreadPoolExecutor(len(wrong)) as clients:
        guesses = [clients.submit(ask, token) for token in wrong]
        until(lambda: any(guess.done() and guess.result()[0] == 429 for guess in guesses))
        status, seconds = ask(TOKEN)
        refused = [guess.result() for guess in guesses]
    assert status == 200
    assert seconds < access.FAILURE_SECONDS
    assert all(waited >= access.FAILURE_SECONDS for answer, waited in refused if answer == 401)
    assert [answer for answer, _ in refused].count(401) == MAX_FAILURES


def test_a_public_page_is_read_by_anyone_and_posts_by_none(serve: Serve) -> None:
    server = serve(token=TOKEN, public_page=True)
    assert request(server.address, "/v1/models").status == 200
    assert post(server, {}).status == 401
    assert request(server.address, "/metrics").status == 401


def test_the_page_exchanges_its_token_for_a_cookie(serve: Serve) -> None:
    server = serve(token=TOKEN)
    begun = request(server.address, "/v1/session", body=b"", headers={**BEARER, "X-Ingress-Path": "/api/ingress/x"})
    assert begun.status == 204
    cookie, *attributes = begun.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/api/ingress/x"} <= set(attributes)
    assert request(server.address, "/v1/models", headers={"Cookie": cookie}).status == 200
    own = f"http://{urlsplit(server.address).netloc}"
    assert post(server, {"Cookie": cookie, "Origin": own}).status == 200
    assert post(server, {"Cookie": cookie, "Origin": "http://evil.example"}).status == 403


def test_a_forged_ingress_path_is_ignored(serve: Serve) -> None:
    server = serve(token=TOKEN)
    for path in ("x", "/a;b", "/a\tb", "/" + "a" * 300):
        begun = request(server.address, "/v1/session", body=b"", headers={**BEARER, "X-Ingress-Path": path})
        assert "Path=/;" in begun.headers["set-cookie"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:8321", 200),
        ("192.168.1.7", 200),
        ("music.example", 421),
        ("", 421),
        ("127.0.0.1.music.example", 421),
        ("localhost@music.example", 421),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str, status: int, server: Server) -> None:
    assert request(server.address, "/health/live", headers={"Host": host}).status == status


def test_a_name_that_the_server_is_told_is_answered(serve: Serve) -> None:
    assert request(serve(names=("Music.example",)).address, "/", headers={"Host": "music.EXAMPLE:80"}).status == 200


def test_a_page_of_another_server_may_ask_only_where_it_is_named(server: Server, serve: Serve) -> None:
    named = serve(origins=("https://app.example",))
    origin = {"Origin": "https://app.example"}
    assert post(server, origin).status == 403
    assert "access-control-allow-origin" not in request(server.address, "/v1/models", headers=origin).headers
    assert post(named, origin).headers["access-control-allow-origin"] == "https://app.example"
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert request(named.address, "/v1/classify", method="OPTIONS", headers=asked).status == 200
    assert post(named, {"Origin": "https://evil.example"}).status == 403


@pytest.mark.parametrize("path", ["/", "/v1/models", "/nothing", "/v1/classify"])
def test_every_response_is_strict_with_browsers(path: str, server: Server) -> None:
    headers = request(server.address, path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers
