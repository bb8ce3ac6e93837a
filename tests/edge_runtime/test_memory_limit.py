"""Too little memory is one line, whatever library would have met it first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.memory_limit import LISTENING_MB, is_lack_of_memory, require_memory
from edge_runtime.service import MISCONFIGURED
from tests.edge_runtime.outputs.conftest import write_noise

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space with ulimit -v")

COMMANDS = {
    "tmgc-listen": "from edge_runtime.cli.listen import main; main()",
    "tmgc-train": "from train.cli import main; main()",
    "tmgc-export": "from export.cli import main; main()",
    "tmgc-bench": "from benchmarks.cli import main; main()",
}


def run_limited(megabytes: int, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command in a process that may take so much address space."""
    limited = ["sh", "-c", f'ulimit -v {megabytes * 1000}; exec "$@"', "sh"]
    program = [*limited, sys.executable, "-c", COMMANDS[command], *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("megabytes", "command", "arguments"),
    [
        (60, "tmgc-listen", ("song.wav",)),
        (100, "tmgc-listen", ("song.wav", "--json")),
        (150, "tmgc-listen", ("song.wav",)),
        (100, "tmgc-listen", ("doctor",)),
        (100, "tmgc-train", ("prepare", "songs", "run")),
        (1000, "tmgc-train", ("evaluate", "run")),
        (60, "tmgc-export", ("run",)),
        (100, "tmgc-bench", ("run",)),
    ],
)
def test_a_limit_below_what_is_needed_is_one_line(megabytes: int, command: str, arguments: tuple[str, ...]) -> None:
    done = run_limited(megabytes, command, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is too little memory: ")
    assert done.stderr.count("\n") == 1
    assert not done.stdout


@pytest.mark.parametrize("command", ["tmgc-listen", "tmgc-train", "tmgc-export", "tmgc-bench"])
def test_help_needs_little_memory(command: str) -> None:
    done = run_limited(60, command, "--help")
    assert done.returncode == 0
    assert f"Usage: {command}" in done.stdout


def test_what_is_said_to_be_needed_is_enough(models: dict[str, Path], tmp_path: Path) -> None:
    song = write_noise(tmp_path / "song.wav", seconds=3)
    done = run_limited(LISTENING_MB + 60, "tmgc-listen", song, "--model", models["tflite"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("megabytes", [60, 80, 100])
def test_what_is_said_where_numpy_does_not_fit_is_known(megabytes: int, threads: int) -> None:
    limited = f"ulimit -v {megabytes * 1000}; export OPENBLAS_NUM_THREADS={threads}; exec {sys.executable} -c "
    done = subprocess.run(["sh", "-c", f"{limited} 'import numpy'"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or is_lack_of_memory(RuntimeError(done.stderr)), done.stderr


def test_a_loader_that_has_set_too_little_aside_is_another_matter() -> None:
    said = "libgomp.so.1: cannot allocate memory in static TLS block"
    assert not is_lack_of_memory(ImportError(said))


def test_a_service_is_not_restarted_for_a_limit() -> None:
    done = subprocess.run(
        ["sh", "-c", f"ulimit -v 100000; exec {sys.executable} -c '{COMMANDS['tmgc-listen']}' --device x"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NOTIFY_SOCKET": "/nowhere"},
    )
    assert done.returncode == MISCONFIGURED, done.stderr


def test_memory_that_may_be_taken_is_not_taken() -> None:
    for _ in range(100):
        require_memory(100_000)
    with pytest.raises(TmgcError, match="100000000000 MB are needed and a limit forbids them"):
        require_memory(10**11)
