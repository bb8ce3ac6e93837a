"""What ``tmgc-listen`` starts with: which command is meant, and how little is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.cli.listen import SUBCOMMANDS

MOST_MODULES = 150
"""Half as many again as click brings along; numpy alone is more. Modules are counted, since seconds depend on the
machine."""

PROGRAM = """
import sys
before = set(sys.modules)
from edge_runtime.cli.listen import main
try: main(sys.argv[1:])
except SystemExit as end: assert end.code == 0, end.code
loaded = set(sys.modules) - before
print(len(loaded), *sorted({name.partition(".")[0] for name in loaded} - sys.stdlib_module_names))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "--version",
        "--help",
        "doctor --help",
        "install-service --help",
        "install-service --model m.tflite --dry-run",
        "uninstall-service --help",
    ],
)
def test_what_needs_no_sound_loads_click_and_nothing_else(arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments.split()], capture_output=True, text=True, check=False
    )
    count, *packages = done.stdout.splitlines()[-1].split()
    assert packages == ["click", "edge_runtime"], done.stderr
    assert int(count) < MOST_MODULES


def test_the_package_gives_its_names_all_the_same() -> None:
    import edge_runtime

    for name in edge_runtime.__all__:
        assert getattr(edge_runtime, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        edge_runtime.nonsense  # noqa: B018


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_a_subcommand_wins_over_a_file_of_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no sound at all")
    listen = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()"]
    meant = subprocess.run([*listen, name, "--help"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert meant.stdout.startswith(f"Usage: tmgc-listen {name} ")
    file = subprocess.run([*listen, f"./{name}", "--help"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert file.stdout.startswith("Usage: tmgc-listen [OPTIONS] [FILE...|-]")
