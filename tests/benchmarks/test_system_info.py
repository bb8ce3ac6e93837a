import platform
from importlib import metadata
from pathlib import Path

from benchmarks.system_info import board_model, cpu_model, describe_machine, one_line


def test_the_machine_is_described_as_json_can_hold_it() -> None:
    machine = describe_machine()
    assert machine["kernel"] == platform.release()
    assert machine["cores"] >= machine["usable_cores"] >= 1
    assert machine["versions"]["numpy"] == metadata.version("numpy")


def test_a_board_tells_its_name_with_a_zero_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert board_model(path) == "Raspberry Pi 5 Model B Rev 1.0"
    assert board_model(tmp_path / "none") is None


def test_the_processor_is_named_by_linux_or_by_python(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n")
    assert cpu_model(path) == "A CPU @ 2 GHz"
    assert cpu_model(tmp_path / "none") == (platform.processor() or None)


def test_one_line_names_the_board_and_leaves_out_what_is_not_known() -> None:
    machine = {**describe_machine(), "board": "A Board", "cpu": None, "governor": None, "memory_mb": None}
    assert one_line(machine).startswith("A Board, ")
    assert "governor" not in one_line(machine)
