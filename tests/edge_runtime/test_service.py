"""The unit, checked by systemd's own analysis, and its installation with programs that log their calls."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.service import ServiceSettings, check_system, install, left_behind, uninstall, unit_text

NOT_ROOT = 65_534


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was run, a line each."""
    written, programs = tmp_path / "notes", tmp_path / "programs"
    programs.mkdir()
    written.touch()
    for name in ("systemctl", "useradd", "journalctl"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{written}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return written


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    """A program and a model that exist, and a user who does."""
    program = tmp_path / "opt" / "bin" / "tmgc-listen"
    program.parent.mkdir(parents=True)
    program.touch()
    model = tmp_path / "mine.int8.tflite"
    model.write_bytes(b"weights")
    return ServiceSettings(model, ("--hop", "2"), getpass.getuser(), tmp_path / "opt")


def test_the_model_is_copied_to_where_the_service_sees_it_and_the_unit_names_the_copy(
    settings: ServiceSettings, notes: Path, tmp_path: Path
) -> None:
    settings.model.chmod(0o600)
    unit = install(settings, units=tmp_path / "units")
    copied = tmp_path / "opt" / "models" / "mine.int8.tflite"
    assert copied.read_bytes() == b"weights"
    assert stat.S_IMODE(copied.stat().st_mode) == 0o644
    assert f"--model {copied} --wait-device inf --hop 2" in unit.read_text()
    assert notes.read_text().splitlines() == [
        "systemctl daemon-reload",
        "systemctl enable tmgc.service",
        "systemctl restart tmgc.service",
    ]


def test_installing_again_takes_the_copy_for_the_model(settings: ServiceSettings, notes: Path, tmp_path: Path) -> None:
    install(settings, units=tmp_path / "units")
    copied = tmp_path / "opt" / "models" / "mine.int8.tflite"
    unit = install(ServiceSettings(copied, (), settings.user, settings.program), units=tmp_path / "units")
    assert copied.read_bytes() == b"weights"
    assert f"--model {copied} " in unit.read_text()


def test_a_user_who_is_missing_is_made(settings: ServiceSettings, notes: Path, tmp_path: Path) -> None:
    install(ServiceSettings(settings.model, (), "tmgc-nobody-has-this", settings.program), units=tmp_path / "units")
    made = next(line for line in notes.read_text().splitlines() if line.startswith("useradd"))
    assert "--system" in made
    assert made.endswith("tmgc-nobody-has-this")


def test_without_the_program_in_its_place_nothing_is_changed(
    settings: ServiceSettings, notes: Path, tmp_path: Path
) -> None:
    (settings.program / "bin" / "tmgc-listen").unlink()
    with pytest.raises(TmgcError, match=r"python3 -m venv .* && sudo .*/bin/pip install"):
        install(settings, units=tmp_path / "units")
    assert not notes.read_text()
    assert not (tmp_path / "units").exists()


def test_a_step_that_fails_is_reported(settings: ServiceSettings, notes: Path, tmp_path: Path) -> None:
    (tmp_path / "programs" / "systemctl").write_text("#!/bin/sh\necho Access denied >&2\nexit 4\n")
    with pytest.raises(TmgcError, match=r"systemctl daemon-reload failed: Access denied\. See: journalctl"):
        install(settings, units=tmp_path / "units")


@pytest.fixture
def refused_hop(notes: Path, tmp_path: Path) -> None:
    """A system where a service with ``--hop 0`` does not start, with the reason in the journal."""
    programs, unit = tmp_path / "programs", tmp_path / "units" / "tmgc.service"
    fails = f'[ "$1" != restart ] || ! grep -q -e "--hop 0" {unit} || {{ echo failed. >&2; exit 1; }}'
    (programs / "systemctl").write_text(f'#!/bin/sh\necho systemctl "$@" >>{notes}\n{fails}\n')
    says = r"printf 'not \377 text\nerror: the hop must be one frame\n'"
    (programs / "journalctl").write_text(f"#!/bin/sh\n{says}\n")


@pytest.mark.usefixtures("refused_hop")
def test_a_service_that_does_not_start_leaves_the_earlier_one_running(
    settings: ServiceSettings, notes: Path, tmp_path: Path
) -> None:
    unit = install(settings, units=tmp_path / "units")
    before = unit.read_text()
    settings.model.write_bytes(b"trained again")
    notes.write_text("")
    with pytest.raises(TmgcError, match=r"does not start: the hop must be one frame\. The earlier one is restored$"):
        install(replace(settings, options=("--hop", "0")), units=tmp_path / "units")
    assert unit.read_text() == before
    assert [path.name for path in (tmp_path / "opt" / "models").iterdir()] == ["mine.int8.tflite"]
    assert (tmp_path / "opt" / "models" / "mine.int8.tflite").read_bytes() == b"weights"
    assert notes.read_text().splitlines().count("systemctl restart tmgc.service") == 2


@pytest.mark.usefixtures("refused_hop")
def test_a_first_service_that_does_not_start_is_removed_again(
    settings: ServiceSettings, notes: Path, tmp_path: Path
) -> None:
    with pytest.raises(TmgcError, match=r"does not start: the hop must be one frame\. It is removed again$"):
        install(replace(settings, options=("--hop", "0")), units=tmp_path / "units")
    assert not (tmp_path / "units" / "tmgc.service").exists()
    assert not list((tmp_path / "opt" / "models").iterdir())
    assert notes.read_text().splitlines()[-2:] == ["systemctl disable --now tmgc.service", "systemctl daemon-reload"]


def test_where_neither_starts_both_reasons_are_reported(settings: ServiceSettings, notes: Path, tmp_path: Path) -> None:
    unit = install(settings, units=tmp_path / "units")
    before = unit.read_text()
    (tmp_path / "programs" / "systemctl").write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    with pytest.raises(TmgcError, match=r"no room.*restored, and does not start either: .*no room"):
        install(replace(settings, options=("--hop", "1")), units=tmp_path / "units")
    assert unit.read_text() == before


def test_uninstalling_stops_it_and_leaves_program_and_model(
    settings: ServiceSettings, notes: Path, tmp_path: Path
) -> None:
    unit = install(settings, units=tmp_path / "units")
    notes.write_text("")
    assert uninstall(units=tmp_path / "units") == unit
    assert notes.read_text().splitlines() == ["systemctl disable --now tmgc.service", "systemctl daemon-reload"]
    assert not unit.exists()
    assert (tmp_path / "opt" / "models" / "mine.int8.tflite").exists()


def test_uninstalling_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="no service to remove"):
        uninstall(units=tmp_path)


def test_what_an_administrator_has_added_to_the_unit_is_left_and_named(tmp_path: Path) -> None:
    assert left_behind(units=tmp_path) == [Path("/opt/tmgc"), Path("/var/lib/tmgc"), Path("/var/cache/tmgc")]
    (tmp_path / "tmgc.service.d").mkdir()
    assert left_behind(units=tmp_path)[-1] == tmp_path / "tmgc.service.d"


def test_another_init_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="needs systemd"):
        check_system(booted=tmp_path / "nothing")


def test_another_user_than_root_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NOT_ROOT)
    with pytest.raises(TmgcError, match="sudo /opt/tmgc/bin/tmgc-listen"):
        check_system(booted=tmp_path)


HIGHEST_EXPOSURE = 3.0
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: apt-get install systemd"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A unit whose program exists."""
    program = tmp_path / "opt" / "bin" / "tmgc-listen"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    options = ("--device", 'USB "Mic" 100 % $5', "--hop", "2")
    path = tmp_path / "tmgc.service"
    path.write_text(unit_text(ServiceSettings(Path("/a model.tflite"), options, user="root", program=tmp_path / "opt")))
    return path


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@needs_systemd
def test_systemd_accepts_it_without_a_word(unit: Path) -> None:
    done = analyze("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_systemd_calls_its_exposure_low(unit: Path) -> None:
    done = analyze("security", "--offline=true", unit)
    exposure = re.search(r"Overall exposure level for tmgc\.service: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= HIGHEST_EXPOSURE


@pytest.mark.parametrize(
    "line",
    [
        "User=tmgc",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "SupplementaryGroups=audio",
        "Restart=always",
        "Type=notify",
        "StateDirectory=tmgc",
        "CacheDirectory=tmgc",
        "DeviceAllow=char-116 rw",
        "CapabilityBoundingSet=",
        "LogRateLimitBurst=1000",
    ],
)
def test_it_has_few_rights_is_started_again_and_fills_no_journal(line: str) -> None:
    assert line in unit_text(ServiceSettings(Path("m.tflite"))).splitlines()


@pytest.mark.parametrize("setting", ["MemoryDenyWriteExecute=", "ProcSubset=", "PrivateDevices="])
def test_what_would_silence_it_is_left_out(setting: str) -> None:
    assert not any(line.startswith(setting) for line in unit_text(ServiceSettings(Path("m.tflite"))).splitlines())


def test_it_waits_for_a_microphone_without_end() -> None:
    assert "--wait-device inf" in unit_text(ServiceSettings(Path("m.tflite")))


CONTROL_CHARACTERS = ("\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\udcff", "\u202e")


@pytest.mark.parametrize("control", CONTROL_CHARACTERS)
@pytest.mark.parametrize("field", ["model", "options", "user", "program"])
def test_a_value_that_could_become_another_line_of_the_unit_is_refused(field: str, control: str) -> None:
    hostile = f"x{control}ExecStartPre=+/bin/sh -c id"
    value = {"model": Path(f"/{hostile}.tflite"), "options": ("--device", hostile), "program": Path(f"/{hostile}")}
    with pytest.raises(TmgcError, match=r"printable text in one line|a user name|program's folder") as caught:
        replace(ServiceSettings(Path("m.tflite")), **{field: value.get(field, hostile)})  # type: ignore[arg-type]
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("program", ["opt/tmgc", "-/opt/tmgc", "@/opt", "/opt/$HOME", "/opt/%h", "/opt/a b", "/opt/ç"])
def test_a_program_in_which_systemd_would_see_more_than_a_path_is_refused(program: str) -> None:
    with pytest.raises(TmgcError, match="program's folder must be an absolute path"):
        ServiceSettings(Path("m.tflite"), program=Path(program))


@pytest.mark.parametrize("user", ["", "Root", "a b", "%n", "-x", "a" * 32, "$USER", "0", "ağa"])
def test_a_user_name_that_linux_would_refuse_is_refused(user: str) -> None:
    with pytest.raises(TmgcError, match="a user name"):
        ServiceSettings(Path("m.tflite"), user=user)


def test_a_command_that_is_too_long_is_refused() -> None:
    with pytest.raises(TmgcError, match="at most 8192 characters"):
        ServiceSettings(Path("m.tflite"), ("--device", "x" * 8_192))


@needs_systemd
@pytest.mark.parametrize(
    "value",
    ["%n %% %", "${HOME} $$", "back\\slash\\", "\\n", "'", '"', ";", "#", "-", "@x", "+/bin/sh", "ğüşıöç", "x" * 7_000],
)
def test_systemd_accepts_whatever_text_an_option_or_a_model_has(value: str, unit: Path, tmp_path: Path) -> None:
    model = Path(f"/{value[:200]}.tflite")
    unit.write_text(unit_text(ServiceSettings(model, ("--device", value), user="root", program=tmp_path / "opt")))
    done = analyze("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('a "b"', '"a \\"b\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("a;b", '"a;b"'),
        ("it's", '"it\'s"'),
    ],
)
def test_arguments_reach_the_program_unchanged(argument: str, written: str) -> None:
    text = unit_text(ServiceSettings(Path("m.tflite"), (argument,)))
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert command.endswith(f" inf {written}")
