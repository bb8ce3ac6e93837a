"""The Open Inference Protocol, version 2 over HTTP: the tensor of a window to the probabilities of the genres.

Requests may hold their tensors as JSON, or behind it as binary data, as tritonclient sends them; answers are JSON.

See Also
--------
https://github.com/open-inference/open-inference-protocol : the protocol
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_runtime.errors import InvalidAnswerError
from edge_runtime.server.bodies import Body
from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.responses import json_response, refuse_unread
from edge_runtime.server.uploads import Decoder

MAX_WINDOWS = 16
"""Of one request."""

MAX_JSON_BYTES = 4_000_000
"""A window of 2 s at 44,100 Hz takes one of them as JSON."""

OUTPUT = "probabilities"

_BINARY = b"inference-header-content-length"
_TYPES: Mapping[str, tuple[str, type[np.generic]]] = {"image": ("UINT8", np.uint8), "waveform": ("FP32", np.float32)}


class InferenceProtocol:
    """The endpoints below ``/v2``.

    Parameters
    ----------
    models : mapping of str to ServedModel
    decoder : Decoder
        Runs one model at a time.
    """

    def __init__(self, models: Mapping[str, ServedModel], decoder: Decoder) -> None:
        self._models = models
        self._decoder = decoder

    @property
    def routes(self) -> list[Route]:
        """Its routes."""
        model = "/v2/models/{model}"
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route(model, self.model),
            Route(f"{model}/ready", self.model_ready),
            Route(f"{model}/infer", self.infer, methods=["POST"]),
        ]

    async def server(self, request: Request) -> Response:
        return json_response({"name": "tmgc", "version": "2", "extensions": ["binary_tensor_data"]})

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        for model in self._models.values():
            model.check_ready()
        return json_response({"ready": True})

    async def model_ready(self, request: Request) -> Response:
        model = self._selected(request)
        model.check_ready()
        return json_response({"name": model.name, "ready": True})

    async def model(self, request: Request) -> Response:
        model = self._selected(request)
        card = model.classifier.card
        datatype, _ = _TYPES[card.input_kind]
        return json_response(
            {
                "name": model.name,
                "versions": ["1"],
                "platform": model.classifier.runtime,
                "inputs": [{"name": card.input_kind, "datatype": datatype, "shape": [-1, *card.input_shape]}],
                "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(card.genres)]}],
                "parameters": {"genres": list(card.genres)},
            }
        )

    async def infer(self, request: Request) -> Any:
        model = self._selected(request)
        header_length = request.headers.get(_BINARY.decode())
        limits = self._decoder.limits
        body = Body(request.receive, limits)
        size = MAX_JSON_BYTES + MAX_WINDOWS * 4 * math.prod(model.classifier.card.input_shape)
        try:
            return await self._decoder.run(
                lambda: body.read_whole(min(size, limits.body_bytes)),
                lambda content: _answered(content, header_length, model),
            )
        except RefusedError as refusal:
            return refuse_unread(refusal, body)
        except ConnectionResetError:
            return Response()  # nobody reads it

    def _selected(self, request: Request) -> ServedModel:
        name = request.path_params["model"]
        if name not in self._models:
            raise RefusedError(404, f"a model is one of {', '.join(self._models)}", repr(name[:80]), "see /v1/models")
        return self._models[name]


def _answered(content: bytes, header_length: str | None, model: ServedModel) -> Response:
    asked, windows = _parsed(content, header_length, model)
    probabilities = _invoked(model, windows)
    answer = {
        "model_name": model.name,
        "model_version": "1",
        "outputs": [
            {
                "name": OUTPUT,
                "datatype": "FP32",
                "shape": list(probabilities.shape),
                "data": probabilities.ravel().tolist(),
            }
        ],
    }
    return json_response(answer if "id" not in asked else {**answer, "id": str(asked["id"])[:200]})


def _invoked(model: ServedModel, windows: NDArray[Any]) -> NDArray[np.float32]:
    try:
        return np.stack([model.classifier.predict(window) for window in windows])
    except InvalidAnswerError as error:
        raise RefusedError(503, "a model's answer is finite", str(error), "see tmgc-listen doctor") from error


def _parsed(content: bytes, header_length: str | None, model: ServedModel) -> tuple[dict[str, Any], NDArray[Any]]:
    """The JSON of a request and its windows."""
    length = len(content) if header_length is None else _whole(header_length)
    if not 0 <= length <= min(len(content), MAX_JSON_BYTES):
        raise _refused(f"JSON of {length} bytes", status=413)
    try:
        asked = json.loads(content[:length])
        (tensor,) = asked["inputs"]
        shape = [int(size) for size in tensor["shape"]]
        datatype, found = str(tensor["datatype"]), tensor.get("data")
        binary_size = tensor.get("parameters", {}).get("binary_data_size")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _refused(f"no valid request ({type(error).__name__})") from error
    card = model.classifier.card
    expected, kind = _TYPES[card.input_kind]
    if datatype != expected or shape[1:] != list(card.input_shape) or not 1 <= shape[0] <= MAX_WINDOWS:
        raise _refused(
            f"{datatype[:20]} of shape {str(shape)[:60]} instead of {expected} of shape "
            f"[1 to {MAX_WINDOWS}, {', '.join(map(str, card.input_shape))}]"
        )
    values = _values(found, content[length:] if binary_size is not None else None, kind)
    if values.size != math.prod(shape) or not np.isfinite(values).all():
        raise _refused(f"{values.size} values, or some that are not finite, instead of {math.prod(shape)}")
    return asked, values.reshape(shape)


def _values(data: Any, binary: bytes | None, kind: type[np.generic]) -> NDArray[Any]:
    try:
        if binary is not None:
            return np.frombuffer(binary, np.dtype(kind).newbyteorder("<")).astype(kind)
        values = np.asarray(data, np.float64).ravel()
        if kind is np.uint8 and not ((values >= 0) & (values <= 255)).all():
            raise ValueError("not from 0 to 255")
        return values.astype(kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise _refused(f"data that are no {np.dtype(kind).name}") from error


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else -1


def _refused(found: str, *, status: int = 422) -> RefusedError:
    return RefusedError(
        status,
        "a request holds one tensor of windows in the Open Inference Protocol",
        found,
        "see /v2/models/MODEL for its name, type and shape",
    )
