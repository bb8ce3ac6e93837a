from typing import Any

from benchmarks.report import quickest, verdict_of


def row_of(name: str, p50: float) -> dict[str, Any]:
    return {"name": name, "ok": True, "latency_ms": {"p50": p50}}


def test_a_quick_row_keeps_up_and_says_how_many_times_over() -> None:
    lines = verdict_of({"mean": 20.0, "p99": 30.0})["lines"]
    assert lines == ["keeps up at hop 1.0 s: yes, 50 times over", "sub-second: yes (p99 30 ms)"]


def test_a_slow_row_does_not() -> None:
    verdict = verdict_of({"mean": 1600.0, "p99": 1900.0})
    assert verdict["lines"] == ["keeps up at hop 1.0 s: no (mean 1600 ms)", "sub-second: no (p99 1900 ms)"]
    assert not verdict["keeps_up"]


def test_the_quickest_is_an_export_of_the_run_however_quick_the_others_were() -> None:
    others = [row_of("original", 1.0), row_of("keras-compiled", 2.0), row_of("small-tflite-float16", 3.0)]
    exports = [row_of("tflite-int8", 14.0), row_of("onnx-int8", 16.0)]
    assert quickest([*others, *exports, {"name": "broken", "ok": False}]) is exports[0]


def test_without_exports_it_is_whatever_was_measured() -> None:
    assert quickest([row_of("original", 1.0)]) == row_of("original", 1.0)
    assert quickest([{"name": "tflite-int8", "ok": False}]) is None
