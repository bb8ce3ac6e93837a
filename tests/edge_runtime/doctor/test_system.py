"""What the doctor says of boards that are not at hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_runtime.doctor import OK, PROBLEM, WARNING, check_bits, check_memory, check_python, check_temperature


def test_a_64_bit_system_is_well() -> None:
    assert check_bits(64, "aarch64").state == OK


def test_32_bit_programs_on_a_64_bit_kernel_are_a_problem() -> None:
    found = check_bits(32, "aarch64")
    assert found.state == PROBLEM
    assert "64-bit Raspberry Pi OS" in found.fix


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10, 9), PROBLEM), ((3, 11, 2), OK), ((3, 13, 5), OK), ((3, 14, 0), PROBLEM)]
)
def test_python_must_have_wheels(version: tuple[int, ...], state: str) -> None:
    found = check_python(version)
    assert found.state == state
    assert bool(found.fix) == (state == PROBLEM)


def test_this_python_is_well() -> None:
    assert check_python().found == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(("total_mb", "state"), [(416.0, WARNING), (948.0, OK), (8000.0, OK)])
def test_half_a_gigabyte_asks_for_a_small_network(total_mb: float, state: str) -> None:
    assert check_memory(total_mb).state == state


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A folder like ``/sys`` of a Raspberry Pi that is well."""
    (tmp_path / "class/thermal/thermal_zone0").mkdir(parents=True)
    (tmp_path / "class/thermal/thermal_zone0/temp").write_text("51540\n")
    (tmp_path / "devices/platform/soc/soc:firmware").mkdir(parents=True)
    (tmp_path / "devices/platform/soc/soc:firmware/get_throttled").write_text("0\n")
    return tmp_path


def test_a_cool_board_is_well(board: Path) -> None:
    found = check_temperature(board)
    assert (found.state, found.found) == (OK, "52 degrees Celsius")


def test_a_hot_board_wants_cooling(board: Path) -> None:
    (board / "class/thermal/thermal_zone0/temp").write_text("84000\n")
    assert "cool the processor" in check_temperature(board).fix


def test_a_throttled_board_wants_cooling_and_says_what_happened(board: Path) -> None:
    (board / "devices/platform/soc/soc:firmware/get_throttled").write_text("40004\n")
    found = check_temperature(board)
    assert found.state == WARNING
    assert found.found.endswith("held back: throttled, throttled since boot")
    assert "cool the processor" in found.fix


def test_under_voltage_wants_another_power_supply(board: Path) -> None:
    (board / "devices/platform/soc/soc:firmware/get_throttled").write_text("50005\n")
    assert "power supply" in check_temperature(board).fix


def test_a_machine_that_tells_no_temperature_is_not_blamed(tmp_path: Path) -> None:
    assert check_temperature(tmp_path).state == OK
