from itertools import islice
from typing import Any

import pytest

from benchmarks.roofline import (
    Kernel,
    achieved,
    litert_kernels,
    measure_peak,
    numpy_kernels,
    onnx_kernels,
    peak_of,
    timed_kernel,
)

PEAK = peak_of(
    [
        {"kernel": "slow", "number": "int8", "gmacs_per_s": 50.0},
        {"kernel": "quick", "number": "int8", "gmacs_per_s": 200.0},
        {"kernel": "only", "number": "float32", "gmacs_per_s": 40.0},
    ],
    [],
)


@pytest.mark.parametrize("kernels", [numpy_kernels(), onnx_kernels(1), litert_kernels(1)])
@pytest.mark.filterwarnings("ignore")
def test_a_kernel_of_every_library_runs(kernels: Any) -> None:
    for kernel in islice(kernels, 1):
        timed = timed_kernel(kernel, seconds=0.01)
        assert timed["gmacs_per_s"] > 0
        assert timed["number"] == "float32"


def test_integers_are_multiplied_as_well() -> None:
    kernel = next(kernel for kernel in onnx_kernels(1) if kernel.number == "int8")
    assert timed_kernel(kernel, seconds=0.01)["kernel"].endswith("matmul 256")


def test_the_quickest_run_of_a_kernel_counts() -> None:
    ran: list[int] = []
    timed = timed_kernel(Kernel("nothing", "float32", 10**9, lambda: ran.append(1)), seconds=0.01)
    assert len(ran) > 10
    assert timed["gmacs_per_s"] > 1e3


def test_the_peak_is_the_best_of_each_kind_of_number() -> None:
    assert PEAK["int8"]["kernel"] == "quick"
    assert PEAK["float32"]["kernel"] == "only"
    assert peak_of([], ["numpy: gone"])["int8"] is None


@pytest.mark.parametrize(
    ("recipe", "number", "share"),
    [("int8", "int8", 0.1), ("dynamic", "int8", 0.1), ("float32", "float32", 0.5), ("float16", "float32", 0.5)],
)
def test_a_row_is_held_against_the_peak_of_what_it_multiplies(recipe: str, number: str, share: float) -> None:
    found = achieved({"stages_ms": {"model": 50.0}}, 10**9, PEAK, recipe)
    assert found == {"macs": 10**9, "gmacs_per_s": 20.0, "number": number, "share_of_peak": share}


def test_without_macs_or_a_peak_nothing_is_invented() -> None:
    row = {"stages_ms": {"model": 50.0}}
    assert achieved(row, None, PEAK, "int8") is None
    without = achieved(row, 10**9, None, "int8")
    assert without is not None
    assert without["share_of_peak"] is None


@pytest.mark.full
def test_the_peak_of_this_machine_is_measured_in_a_process_of_its_own() -> None:
    peak = measure_peak(1)
    assert peak["failed"] == []
    assert peak["int8"]["gmacs_per_s"] > 0
    assert peak["float32"]["gmacs_per_s"] == max(
        kernel["gmacs_per_s"] for kernel in peak["kernels"] if kernel["number"] == "float32"
    )
