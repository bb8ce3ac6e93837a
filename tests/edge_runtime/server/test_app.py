"""The server without a listener: models, uploads and refusals, by real requests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.classifier import MAX_INVALID, GenreClassifier
from edge_runtime.server.running import Server, serve_models
from edge_runtime.server.settings import ServerSettings
from tests.edge_runtime.server.conftest import request, wav


def test_a_sound_is_answered_with_its_windows_and_its_summary(server: Server) -> None:
    answer = request(server.address, "/v1/classify", body=wav(5))
    *windows, summary = answer.lines
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [window["type"] for window in windows] == ["window"] * 4
    assert summary["type"] == "summary"
    assert summary["windows"] == 4
    assert summary["model"]["file"] == "tiny.float32.tflite"


@pytest.mark.parametrize("path", ["/", "/app.js", "/health/live", "/health/ready", "/v1/models", "/v1/model"])
def test_a_server_without_a_listener_answers(path: str, server: Server) -> None:
    assert request(server.address, path).status == 200


def test_a_model_whose_answers_are_not_finite_is_not_ready(models: dict[str, Path]) -> None:
    classifier = GenreClassifier.open(models["tflite"])
    invoke, finite = classifier.interpreter.invoke, True
    classifier.interpreter.invoke = lambda window: invoke(window) * np.float32(1 if finite else np.nan)  # type: ignore[assignment]
    ready = ["/health/ready", "/v2/health/ready", f"/v2/models/{models['tflite'].stem}/ready"]
    with serve_models([(models["tflite"], classifier)], ServerSettings(port=0)) as server:
        finite = False
        for _ in range(MAX_INVALID):
            assert [request(server.address, path).status for path in ready] == [200, 200, 200]
            answer = request(server.address, "/v1/classify", body=wav(2.1))
            assert (answer.status, answer.json["rule"]) == (503, "a model's answer is finite")
        assert [request(server.address, path).status for path in ready] == [503, 503, 503]
        shape = [1, *classifier.card.input_shape]
        tensor = {"name": "image", "datatype": "UINT8", "shape": shape, "data": [0] * int(np.prod(shape))}
        infer = f"/v2/models/{models['tflite'].stem}/infer"
        answer = request(server.address, infer, body=json.dumps({"inputs": [tensor]}).encode())
        assert (answer.status, answer.json["rule"]) == (503, "a model's answer is finite")
        finite = True
        assert request(server.address, "/v1/classify", body=wav(2.1)).status == 200
        assert [request(server.address, path).status for path in ready] == [200, 200, 200]


@pytest.mark.parametrize("query", ["smooth=inf", "smooth=-inf", "smooth=1e300", "smooth=nan", "hop=inf", "hop=1e300"])
def test_a_number_without_a_meaning_is_refused_in_one_line(query: str, server: Server) -> None:
    answer = request(server.address, f"/v1/classify?{query}", body=wav(2.1))
    assert answer.status == 422
    assert answer.json["type"] == "error"


@pytest.mark.parametrize("path", ["/nothing", "/..%2fapp.py", "/v1/now", "/v1/stream", "/v1/model?model=other"])
def test_what_is_not_there_is_refused_in_one_line(path: str, server: Server) -> None:
    answer = request(server.address, path)
    assert answer.status == 404
    assert answer.json["type"] == "error"
