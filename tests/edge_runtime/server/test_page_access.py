"""The page asks for its token and takes it, and works behind a reverse proxy."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_runtime.server.running import Server
from tests.conftest import until
from tests.edge_runtime.server.browser import Browser, browser, chromium  # noqa: F401  # fixtures
from tests.edge_runtime.server.conftest import wav
from tests.edge_runtime.server.test_page import Listen, hear, listen  # noqa: F401  # a fixture

# ruff: noqa: F811  # fixtures


def test_a_token_in_the_address_opens_the_page_and_is_kept_as_a_cookie(browser: Browser, listen: Listen) -> None:
    token = "a-token-of-some-length"
    served = listen(token=token)
    hear(served, "Caz")
    browser.open(f"{served.address}#token={token}")
    browser.wait_for("#genre", "Caz")
    assert browser.driver.current_url == served.address
    browser.driver.refresh()
    browser.wait_for("#genre", "Caz")


@pytest.mark.full
def test_without_the_token_the_page_asks_for_it(browser: Browser, listen: Listen) -> None:
    token = "a-token-of-some-length"
    served = listen(token=token)
    hear(served, "Caz")
    browser.open(served.address)
    browser.wait_for("#lock", "This page needs its token")
    assert not browser.text("#now")
    browser.find("#token").send_keys("another-of-that-length\n")
    browser.wait_for("#lock-error", "not the right one")
    browser.find("#token").clear()
    browser.find("#token").send_keys(f"{token}\n")
    browser.wait_for("#genre", "Caz")
    assert not browser.text("#lock")


@pytest.mark.full
def test_a_public_page_shows_what_is_heard_and_corrects_nothing(
    browser: Browser, listen: Listen, tmp_path: Path
) -> None:
    served = listen(token="a-token-of-some-length", public_page=True, corrections=tmp_path / "kept")
    hear(served, "Caz")
    browser.open(served.address)
    browser.wait_for("#genre", "Caz")
    browser.wait_for("#answer-list", "Caz")
    assert not browser.all("button.answer-row")


@contextmanager
def behind_a_prefix(address: str, prefix: str, *, refused: str | None = None) -> Iterator[str]:
    """A reverse proxy that shows a server under a prefix, as Home Assistant's ingress does; its address.

    It answers the refused path itself.
    """
    target = urlsplit(address)

    class Proxy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode()
            if not line:
                return
            method, path, version = line.split()
            assert path.startswith(prefix), f"{path} leads out of the prefix"
            if path.partition("?")[0] == f"{prefix}{refused}":
                length = next(int(one.split()[1]) for one in self.rfile if one.lower().startswith(b"content-length"))
                while self.rfile.readline().strip():
                    pass
                self.rfile.read(length)
                self.wfile.write(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n<html>\n<h1>nginx</h1>\n")
                return
            with socket.create_connection((target.hostname, target.port)) as server:
                server.sendall(f"{method} {path.removeprefix(prefix)} {version}\r\n".encode())
                server.sendall(f"X-Ingress-Path: {prefix}\r\nConnection: close\r\n".encode())
                headers = iter(self.rfile.readline, b"\r\n")
                server.sendall(b"".join(one for one in headers if not one.lower().startswith(b"connection")))
                server.sendall(b"\r\n")
                while received := server.recv(65_536):
                    self.wfile.write(received)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the browser has left

    with Server(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}{prefix}/"
        proxy.shutdown()
        thread.join()


@pytest.mark.full
def test_it_works_behind_a_prefix(browser: Browser, listen: Listen) -> None:
    token = "a-token-of-some-length"
    served = listen(token=token)
    with behind_a_prefix(served.address, "/api/hassio_ingress/abc") as address:
        browser.open(f"{address}#token={token}")
        browser.wait_for("#connection", "Live")
        hear(served, "Rock")
        browser.wait_for("#genre", "Rock")
        browser.driver.get("about:blank")


def test_what_a_proxy_refuses_is_told_with_its_status(browser: Browser, server: Server, tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_bytes(wav(3))
    with behind_a_prefix(server.address, "/music", refused="/v1/classify") as address:
        browser.open(address)
        until(lambda: browser.find("#drop").is_displayed())
        browser.find("#file").send_keys(str(tmp_path / "song.wav"))
        browser.wait_for("#song-state", "No answer: 413 Too Large")
        browser.driver.get("about:blank")


def test_a_token_that_a_proxy_refuses_is_not_called_wrong(browser: Browser, listen: Listen) -> None:
    with behind_a_prefix(listen(token="a-token-of-some-length").address, "/music", refused="/v1/session") as address:
        browser.open(address)
        browser.wait_for("#lock", "This page needs its token")
        browser.find("#token").send_keys("a-token-of-some-length\n")
        browser.wait_for("#lock-error", "413 Too Large")
        browser.driver.get("about:blank")
