"""``tmgc-listen install-service`` and ``uninstall-service`` as their user calls them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import service
from tests.edge_runtime.factories import listen_command

REFUSED = 2

needs_no_systemd = pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs here and would obey")


def test_a_dry_run_prints_the_unit_and_needs_nothing(tmp_path: Path) -> None:
    options = ("--hop", "2", "--device", "USB Mic", "--json")
    done = listen_command("install-service", "--model", "mine.tflite", *options, "--dry-run")
    assert done.exit_code == 0, done.stderr
    command = (
        "/opt/tmgc/bin/tmgc-listen --model /opt/tmgc/models/mine.tflite --wait-device inf "
        '--hop 2 --device "USB Mic" --json'
    )
    assert f"ExecStart={command}\n" in done.stdout
    assert "User=tmgc\n" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_other_machines_reach_gets_a_token() -> None:
    dry_run = ("install-service", "--model", "m.tflite", "--dry-run", "--serve")
    done = listen_command(*dry_run, "0.0.0.0:8321")
    assert " --serve 0.0.0.0:8321 --token-file /var/lib/tmgc/token\n" in done.stdout, done.stderr
    assert "--token-file" not in listen_command(*dry_run, "8321").stdout
    named = listen_command(*dry_run, "0.0.0.0:8321", "--token-file", "/nowhere")
    assert named.exit_code == REFUSED
    assert "a token file must be readable" in named.stderr


def test_another_user_stands_in_the_unit(tmp_path: Path) -> None:
    done = listen_command("install-service", "--model", "m.tflite", "--user", "radio", "--dry-run")
    assert "User=radio\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("song.mp3",), "leave out the files"),
        (("--list-devices",), "leave out --list-devices"),
        (("--speed", "1"), "leave out --speed"),
        (("--raw", "44100,1,s16"), "leave out --raw"),
        (("--hop",), "Option '--hop' requires an argument"),
        (("--nonsense",), "No such option '--nonsense'"),
        (("--hop", "often"), "'often' is not a valid float"),
        (("--user", "Ağa\nRoot=/"), "a user name"),
        (("--device", "USB\nExecStartPre=+/bin/sh"), "printable text in one line"),
        (("--model", "m\nUser=root\n.tflite"), "printable text in one line"),
        (("--json", "--plain"), "--json and --plain exclude each other"),
        (("--threshold", "7"), "the threshold must lie in [0, 1]"),
        (("--smooth", "0"), "smoothing takes 1 to"),
        (("--wait-device", "nan"), "the wait for a device must be 0 seconds or longer"),
        (("--mqtt", "localhost"), "--mqtt must be"),
        (("--keep-days", "0"), "--keep-days must be above 0"),
        (("--engine", "nonsense"), "an engine must be one of auto, litert, "),
        (("--engine", "onnxruntime"), "an engine must be installed, and run the file: onnxruntime does not"),
        (("--engine", "tflite-runtime"), "an engine must be installed, and run the file: tflite-runtime "),
        (("--serve", "0.0.0.0:http"), "an address is [HOST:]PORT"),
        (("--serve", "0.0.0.0:1", "--allow-host", "a b"), "--allow-host is the name of a host"),
    ],
)
def test_what_the_service_could_not_run_is_refused_at_once(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = listen_command("install-service", "--model", "m.tflite", "--dry-run", *arguments)
    assert done.exit_code == REFUSED
    assert message in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hop", "nan"), "the hop must be"),
        (("--hop", "0.001"), "at least one frame"),
        (("--threads", "0"), "threads"),
    ],
)
def test_what_the_model_does_not_allow_is_refused_before_anything_is_installed(
    arguments: tuple[str, ...], message: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "check_system", lambda: None)
    monkeypatch.setattr(service, "install", lambda settings: pytest.fail("installed"))
    done = listen_command("install-service", "--model", models["tflite"], *arguments)
    assert done.exit_code == REFUSED
    assert message in done.stderr


def test_the_help_is_printed_also_on_a_system_without_user_accounts() -> None:
    program = "import sys; sys.modules['pwd'] = None; from edge_runtime.cli.listen import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "install-service" in done.stdout


@needs_no_systemd
@pytest.mark.parametrize("arguments", [("install-service", "--model", "m.tflite"), ("uninstall-service",)])
def test_a_system_without_systemd_gets_one_line_with_the_fix(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = listen_command(*arguments)
    assert done.exit_code == REFUSED
    assert done.stderr.startswith("error: a service needs systemd, which does not run here: ")
    assert done.stderr.count("\n") == 1
