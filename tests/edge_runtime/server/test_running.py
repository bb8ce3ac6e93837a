"""Servers that do not start, or that end by themselves: somebody is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner

from edge_runtime import GenreClassifier, TmgcError
from edge_runtime.cli.serve import main
from edge_runtime.server import running
from edge_runtime.server.hub import Hub
from edge_runtime.server.running import serve_listener
from edge_runtime.server.settings import ServerSettings
from tests.conftest import until
from tests.edge_runtime.factories import make_prediction


def fail(*arguments: Any) -> NoReturn:
    raise RuntimeError("too many open files")


def test_a_server_that_does_not_start_is_refused(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "attach", fail)
    classifier = GenreClassifier.open(models["tflite"])
    with (
        pytest.raises(TmgcError, match="a server must start"),
        serve_listener(models["tflite"], classifier, ServerSettings(port=0), history=None),
    ):
        pass


def test_a_listener_goes_on_without_its_server_and_says_so_once(models: dict[str, Path], notices: list[str]) -> None:
    classifier = GenreClassifier.open(models["tflite"])
    with serve_listener(models["tflite"], classifier, ServerSettings(port=0), history=None) as served:
        loop = served.hub._loop
        assert loop is not None
        loop.call_soon_threadsafe(loop.stop)
        until(lambda: notices)
        for second in range(3):
            served.hub.window(make_prediction(start=float(second)))
    (line,) = notices
    assert "the server has ended, and the page with it" in line


def test_a_command_ends_with_its_server(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running._Uvicorn, "on_tick", fail)
    done = CliRunner().invoke(main, [str(models["tflite"]), "--address", "0"])
    assert done.exit_code == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "the server has ended" in errors[0]
    assert "too many open files" in errors[0]
