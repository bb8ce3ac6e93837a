from itertools import islice
from typing import Any

import psutil
import pytest

from benchmarks.report import KernelRate, Roofline
from benchmarks.roofline import (
    Kernel,
    litert_kernels,
    measure_peak,
    numpy_kernels,
    onnx_kernels,
    openvino_kernels,
    peak_lines,
    peak_of,
    roofline,
    time_kernel,
)
from edge_runtime.interpreters import ENGINES

PEAK = peak_of(
    2, [KernelRate("slow", "int8", 50.0), KernelRate("quick", "int8", 200.0), KernelRate("only", "float32", 40.0)], []
)


@pytest.mark.parametrize(
    "kernels",
    [
        numpy_kernels(),
        onnx_kernels(1),
        pytest.param(
            openvino_kernels(1),
            marks=pytest.mark.skipif(not ENGINES["openvino"].installed, reason="OpenVINO is not installed"),
        ),
        pytest.param(litert_kernels(1), marks=pytest.mark.full),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_kernel_of_every_library_runs(kernels: Any) -> None:
    for kernel in islice(kernels, 1):
        rate = time_kernel(kernel, seconds=0.01)
        assert rate.gmacs_per_s > 0
        assert rate.dtype == "float32"


def test_integers_are_multiplied_as_well() -> None:
    kernel = next(kernel for kernel in onnx_kernels(1) if kernel.dtype == "int8")
    assert time_kernel(kernel, seconds=0.01).kernel.endswith("matmul 256")


def test_the_quickest_run_of_a_kernel_counts() -> None:
    ran: list[int] = []
    rate = time_kernel(Kernel("nothing", "float32", 10**9, lambda: ran.append(1)), seconds=0.25)
    assert len(ran) > 10
    assert rate.gmacs_per_s > 1e3


def test_the_peak_is_the_best_of_each_dtype() -> None:
    assert [best.kernel for dtype in ("float32", "int8") if (best := PEAK.of(dtype))] == ["only", "quick"]
    assert peak_of(1, [], ["numpy: gone"]).int8 is None


def test_a_peak_for_people_has_its_ratio_and_what_failed() -> None:
    failed = peak_of(1, PEAK.kernels, ["numpy: gone"])
    assert peak_lines(failed) == [
        "float32: 40 GMAC/s (only)",
        "int8: 200 GMAC/s (quick)",
        "ratio of int8 to float32: 5.0",
        "failed: numpy: gone",
    ]


@pytest.mark.parametrize(
    ("recipe", "dtype", "share"),
    [("int8", "int8", 0.1), ("dynamic", "int8", 0.1), ("float32", "float32", 0.5), ("float16", "float32", 0.5)],
)
def test_a_network_is_compared_with_the_peak_of_what_it_multiplies(recipe: str, dtype: Any, share: float) -> None:
    assert roofline(10**9, 50.0, PEAK, recipe=recipe) == Roofline(10**9, 20.0, dtype, share)


def test_without_a_peak_there_is_no_share() -> None:
    assert roofline(10**9, 50.0, None, recipe="int8").share_of_peak is None
    assert roofline(10**9, 50.0, peak_of(1, [], []), recipe="int8").share_of_peak is None


def test_a_measurement_that_takes_too_long_is_ended_and_the_benchmark_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.roofline.TIMEOUT_SECONDS", 0.2)
    peak = measure_peak(1)
    assert peak.failed == ("the peak was not measured within 0.2 s",)
    assert peak.kernels == ()
    assert not any("benchmarks.roofline" in child.cmdline() for child in psutil.Process().children())


@pytest.mark.full
def test_the_peak_of_this_machine_is_measured_in_a_process_of_its_own() -> None:
    peak = measure_peak(1)
    assert peak.failed == ()
    assert peak.int8 is not None
    assert peak.float32 is not None
    assert peak.int8.gmacs_per_s > 0
    assert peak.float32.gmacs_per_s == max(rate.gmacs_per_s for rate in peak.kernels if rate.dtype == "float32")
