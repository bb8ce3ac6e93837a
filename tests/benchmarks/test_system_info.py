import platform
from dataclasses import replace
from importlib import metadata
from importlib.metadata import distribution
from pathlib import Path

import pytest

from benchmarks.cases import EXPORT, KERAS_PREDICT, REFERENCE, Case, PipelineName
from benchmarks.system_info import (
    describe_machine,
    installed_mb,
    required_distributions,
    thermal_state,
)
from edge_runtime.interpreters import ENGINES, Engine


def test_the_machine_is_described_with_its_libraries() -> None:
    machine = describe_machine()
    assert machine.kernel == platform.release()
    assert machine.cores is not None
    assert machine.cores >= machine.usable_cores >= 1
    assert (machine.memory_mb or 0) > 100
    assert machine.versions["numpy"] == metadata.version("numpy")


def test_one_line_names_the_board_and_leaves_out_what_is_not_known() -> None:
    machine = replace(describe_machine(), board="A Board", cpu=None, governor=None, memory_mb=None)
    assert str(machine).startswith("A Board, ")
    assert "governor" not in str(machine)


def test_the_present_state_of_the_machine_is_typed() -> None:
    state = thermal_state()
    assert state.load_average is None or state.load_average >= 0
    assert state.throttled is None or isinstance(state.throttled, tuple)


def case(pipeline: PipelineName, engine: str | None = None) -> Case:
    return Case(pipeline, pipeline, Path("model"), Path("card.json"), engine=engine)


def test_what_a_library_needs_is_followed_to_the_end() -> None:
    assert {"soundfile", "cffi", "pycparser", "numpy"} <= required_distributions(["soundfile"])


def test_extras_are_not_followed() -> None:
    assert "pytest" not in required_distributions(["click"])


def test_the_size_is_that_of_the_files() -> None:
    files = [Path(str(file.locate())) for file in distribution("tensorflow").files or []]
    tensorflow = sum(path.stat().st_size for path in files if path.is_file()) / 1e6
    keras, edge = installed_mb(case(KERAS_PREDICT)), installed_mb(case(EXPORT, "litert"))
    reference = installed_mb(case(REFERENCE))
    assert keras is not None
    assert edge is not None
    assert reference is not None
    assert reference > keras > tensorflow > 5 * edge


def test_what_is_not_installed_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "litert", Engine("nothing", "there-is-no-such-library", ".tflite"))
    assert installed_mb(case(EXPORT, "litert")) is None
    assert installed_mb(case(EXPORT)) is None
