"""The description of the API against the routes, the JSON lines and real answers."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from edge_runtime.server.app import OPENAPI
from edge_runtime.server.running import ServedListener, Server
from tests.conftest import until
from tests.edge_runtime.factories import make_prediction
from tests.edge_runtime.server.conftest import request, wav
from tests.edge_runtime.server.test_hub import listener  # noqa: F401  # a fixture

DESCRIPTION: dict[str, Any] = json.loads(OPENAPI.read_text("utf-8"))


def validate(instance: Any, path: str, method: str = "get", media: str = "application/json") -> None:
    """Compare an answer with its description."""
    schema = DESCRIPTION["paths"][path][method]["responses"]["200"]["content"][media]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(instance)


def test_the_description_is_served_as_it_is_kept(server: Server) -> None:
    assert request(server.address, "/openapi.json").body == OPENAPI.read_bytes()


def test_every_route_is_described_and_nothing_else(server: Server) -> None:
    routes = {
        (route.path, method.lower()) for route in server.routes for method in (route.methods or ()) if method != "HEAD"
    }
    described = {(path, method) for path, methods in DESCRIPTION["paths"].items() for method in methods}
    assert described == {*routes, ("/v1/session", "post")}


def test_windows_summaries_and_events_are_those_of_the_json_option() -> None:
    lines = json.loads(JSON_LINES_SCHEMA.read_text("utf-8").replace("#/$defs/", "#/components/schemas/"))["$defs"]
    del lines["device"]
    assert {name: DESCRIPTION["components"]["schemas"][name] for name in lines} == lines


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v1/models", "/v1/model", "/v2", "/v2/health/live"])
def test_answers_are_as_described(path: str, server: Server) -> None:
    validate(request(server.address, path).json, path)


def test_answers_to_uploads_are_as_described(server: Server) -> None:
    for line in request(server.address, "/v1/classify", body=wav(4)).lines:
        validate(line, "/v1/classify", "post", "application/x-ndjson")
    path = "/v2/models/{model}"
    validate(request(server.address, path.format(model="tiny.float32")).json, path)


def test_the_state_of_a_listener_is_as_described(listener: ServedListener) -> None:  # noqa: F811
    validate(request(listener.address, "/v1/now").json, "/v1/now")
    listener.hub.window(make_prediction())
    until(lambda: listener.hub.kept)
    validate(request(listener.address, "/v1/now").json, "/v1/now")
    validate(request(listener.address, "/v1/events").json, "/v1/events")


def test_prometheus_reads_the_figures(listener: ServedListener) -> None:  # noqa: F811
    from prometheus_client.parser import text_string_to_metric_families

    listener.hub.window(make_prediction("Caz", dropped_windows=3))
    until(lambda: listener.hub.kept)
    text = request(listener.address, "/metrics").body.decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["tmgc_windows_total", "Caz"] == 1
    assert samples["tmgc_windows_total", "Halk"] == 0
    assert samples["tmgc_dropped_windows_total",] == 3
    assert samples["tmgc_level_dbfs",] == -20
    assert samples["tmgc_delay_seconds_bucket", "0.02"] == 1
    assert samples["tmgc_source_up",] == 0
