"""How little is loaded before it is needed: counted in modules, since seconds depend on the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

MOST_MODULES = 150
"""Twice as many as click needs for itself; numpy alone is more."""

PROGRAM = """
import sys
before = set(sys.modules)
from edge_runtime.cli import main
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
