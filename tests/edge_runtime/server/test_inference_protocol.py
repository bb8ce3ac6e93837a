"""The Open Inference Protocol by plain requests, and by NVIDIA's client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import current_thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from edge_runtime import GenreClassifier
from edge_runtime.server.bodies import Limits
from edge_runtime.server.running import Server
from tests.conftest import until
from tests.edge_runtime.server.conftest import Answer, request

MODEL = "/v2/models/tiny.float32"
SHAPE = (32, 48, 3)


def images(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)


def infer(
    server: Server, tensor: dict[str, Any], *, binary: bytes = b"", header: dict[str, str] | None = None
) -> Answer:
    asked = json.dumps({"id": "7", "inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(asked))} if binary else {}
    return request(server.address, f"{MODEL}/infer", body=asked + binary, headers={**headers, **(header or {})})


def expected(models: dict[str, Path], windows: np.ndarray[Any, Any]) -> list[float]:
    interpreter = GenreClassifier.open(models["tflite"]).interpreter
    return [float(value) for window in windows for value in interpreter.invoke(window)]


def test_a_server_and_its_models_describe_themselves(server: Server) -> None:
    assert request(server.address, "/v2/health/live").json == {"live": True}
    assert request(server.address, "/v2/health/ready").json == {"ready": True}
    assert request(server.address, f"{MODEL}/ready").json["ready"] is True
    described = request(server.address, MODEL).json
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, *SHAPE]}]
    assert described["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}]
    assert described["parameters"] == {"genres": ["Halk", "Caz", "Rock"]}
    assert request(server.address, "/v2/models/other").status == 404


@pytest.mark.parametrize("binary", [False, True])
def test_images_are_classified(binary: bool, server: Server, models: dict[str, Path]) -> None:
    windows = images(2)
    tensor: dict[str, Any] = {"name": "image", "datatype": "UINT8", "shape": [2, *SHAPE]}
    if binary:
        answer = infer(server, {**tensor, "parameters": {"binary_data_size": windows.nbytes}}, binary=windows.tobytes())
    else:
        answer = infer(server, {**tensor, "data": windows.ravel().tolist()})
    assert answer.status == 200, answer.body
    assert answer.json["id"] == "7"
    (output,) = answer.json["outputs"]
    assert output["shape"] == [2, 3]
    assert output["data"] == pytest.approx(expected(models, windows), abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [17, *SHAPE]},
        {"shape": [1, 2, 3]},
        {"shape": "x"},
        {"datatype": "FP32"},
        {"data": [1, 2, 3]},
        {"data": [256] * 32 * 48 * 3},
        {"data": ["x"] * 32 * 48 * 3},
        {"data": None},
    ],
)
def test_what_is_no_such_tensor_is_refused(change: dict[str, Any], server: Server) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *SHAPE], "data": images(1).ravel().tolist()}
    answer = infer(server, {**tensor, **change})
    assert answer.status == 422
    assert answer.json["rule"].startswith("a request holds one tensor")


@pytest.mark.parametrize("length", ["-1", "999999", "x", "9" * 20])
def test_a_wrong_length_of_the_header_is_refused(length: str, server: Server) -> None:
    answer = infer(server, {}, header={"Inference-Header-Content-Length": length})
    assert answer.status == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"null", b'{"inputs": 7}'])
def test_what_is_no_request_is_refused(body: bytes, server: Server) -> None:
    assert request(server.address, f"{MODEL}/infer", body=body).status == 422


def test_a_request_is_refused_before_its_body_is_read_where_others_wait(serve: Callable[..., Server]) -> None:
    server = serve(limits=replace(Limits(), waiting=0))
    address = urlsplit(server.address)
    head = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
    with (
        socket.create_connection((address.hostname, address.port), timeout=20) as first,
        socket.create_connection((address.hostname, address.port), timeout=20) as second,
    ):
        first.sendall((head % "/v1/classify").encode())
        until(lambda: infer(server, {}).status == 429)
        second.sendall((head % f"{MODEL}/infer").encode())
        assert second.recv(100).startswith(b"HTTP/1.1 429 ")
    until(lambda: infer(server, {}).status == 422)


def test_requests_are_parsed_in_the_thread_of_the_model(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, loads = [], json.loads

    def noted(content: bytes) -> Any:
        threads.append(current_thread().name)
        return loads(content)

    monkeypatch.setattr(json, "loads", noted)
    request(server.address, f"{MODEL}/infer", body=b"{}")
    assert threads[0].startswith("uploads")


_TRITON = """
import json, sys
import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("tiny.float32")
described = client.get_model_metadata("tiny.float32")["inputs"][0]
windows = np.load(sys.argv[2])
answers = []
for binary in (True, False):
    tensor = triton.InferInput(described["name"], list(windows.shape), described["datatype"])
    tensor.set_data_from_numpy(windows, binary_data=binary)
    answers.append(client.infer("tiny.float32", [tensor]).as_numpy("probabilities").ravel().tolist())
print(json.dumps(answers))
"""


@pytest.mark.full
def test_the_client_of_triton_gets_its_answers(server: Server, models: dict[str, Path], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)  # it wants another ml_dtypes than JAX
    binaries = tmp_path / "venv" / "bin"
    installed = subprocess.run([binaries / "pip", "install", "--quiet", "tritonclient[http]"], check=False)
    if installed.returncode != 0:
        pytest.skip("pip reaches no packages here")
    np.save(tmp_path / "images.npy", images(3))
    address = urlsplit(server.address).netloc
    client: list[str | Path] = [binaries / "python", "-c", _TRITON, address, tmp_path / "images.npy"]
    done = subprocess.run(client, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    for answer in json.loads(done.stdout):
        assert answer == pytest.approx(expected(models, images(3)), abs=1e-6)
