"""What the machine tells of its temperature, its clock and its cores."""

import ctypes
import platform
from pathlib import Path

import pytest

from edge_runtime import system_info as clock
from edge_runtime.system_info import board_model, cpu_features, cpu_model, peak_memory_mb, thermal_state, throttling


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_board_tells_how_warm_it_is_how_fast_it_runs_and_what_holds_it_back(tmp_path: Path) -> None:
    write(tmp_path / "class/thermal/thermal_zone0/temp", "61300\n")
    write(tmp_path / "class/thermal/thermal_zone1/temp", "48000\n")
    for core, frequency in enumerate((1_500_000, 2_400_000)):
        write(tmp_path / f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", f"{frequency}\n")
        write(tmp_path / f"devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count", f"{core + 2}\n")
    write(tmp_path / "devices/platform/soc/soc:firmware/get_throttled", "50004\n")
    found = thermal_state(tmp_path)
    assert (found["temperature_c"], found["frequency_mhz"], found["throttle_count"]) == (61.3, 1950, 5)
    assert found["throttled"] == ["throttled", "under-voltage since boot", "throttled since boot"]


def test_what_a_machine_does_not_tell_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = thermal_state(tmp_path)
    del found["load_average"]
    assert set(found.values()) == {None}


def test_the_peak_memory_is_the_kernels_high_water_mark(tmp_path: Path) -> None:
    write(tmp_path / "status", "VmPeak:\t 900000 kB\nVmHWM:\t  250000 kB\nVmRSS:\t  100000 kB\n")
    assert peak_memory_mb(tmp_path / "status") == 256.0


def test_the_peak_memory_is_known_without_the_kernels_status_file(tmp_path: Path) -> None:
    assert peak_memory_mb(tmp_path / "none") == pytest.approx(peak_memory_mb(), rel=0.5)


@pytest.mark.parametrize(
    ("flags", "reasons"),
    [("throttled=0x0", []), ("throttled=0x1", ["under-voltage"]), (None, None), ("VCHI initialization failed", None)],
)
def test_the_firmwares_flags_are_put_into_words(flags: str | None, reasons: list[str] | None) -> None:
    assert throttling(flags) == reasons


def test_the_file_of_timesyncd_means_a_synchronised_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "synchronized").touch()
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "synchronized")
    assert clock.clock_synchronised() is True


@pytest.mark.parametrize(("state", "expected"), [(0, True), (1, True), (5, False), (-1, None)])
def test_without_it_the_kernel_is_queried(
    state: int, expected: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "none")
    monkeypatch.setattr(clock, "_adjtimex", lambda: lambda buffer: state)
    assert clock.clock_synchronised() is expected


def test_a_system_without_adjtimex_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "none")
    monkeypatch.setattr(clock, "_adjtimex", lambda: None)
    assert clock.clock_synchronised() is None


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "adjtimex"), reason="this system has no adjtimex")
def test_this_kernel_answers() -> None:
    assert clock.clock_synchronised() in (True, False, None)


def test_the_time_since_boot_grows_and_the_boot_keeps_its_name() -> None:
    before = clock.seconds_since_boot()
    assert 0 < before <= clock.seconds_since_boot()
    assert clock.boot_id() == clock.boot_id()


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


def test_processors_differ_in_their_part_and_their_instructions_on_arm64_too(tmp_path: Path) -> None:
    core = """processor\t: NUMBER
BogoMIPS\t: 108.00
Features\t: fp asimd FEATURE
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: PART

"""

    def features(part: str, feature: str, cores: int = 4) -> tuple[str, ...]:
        path = tmp_path / "cpuinfo"
        numbered = [core.replace("NUMBER", str(number)) for number in range(cores)]
        path.write_text("".join(numbered).replace("PART", part).replace("FEATURE", feature))
        return cpu_features(path)

    assert features("0xd08", "crc32") == features("0xd08", "crc32", cores=2)
    found = {features("0xd08", "crc32"), features("0xd0b", "crc32"), features("0xd0b", "asimddp")}
    assert len(found) == 3
    assert features("0xd0b", "asimddp")[1:] == ("CPU implementer\t: 0x41", "CPU part\t: 0xd0b")
    assert cpu_features(tmp_path / "none") == (platform.processor(),)
