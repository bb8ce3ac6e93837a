"""A damaged header never crashes a reader, fills the memory or takes for ever; the counts are printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.odd_files.encoders import MissingTool
from tests.odd_files.fuzz import LIMIT_MEGABYTES, LIMIT_SECONDS
from tests.odd_files.mutants import FORMATS, mutant

MUTANTS = 60
"""Of each format."""

PROCESSES = 2

GOOD = ("decoded", "warned", "refused")


def results(form: str, first: int) -> Iterator[dict[str, Any]]:
    """What came of every second mutant; a process that dies is followed by another."""
    while first < MUTANTS:
        begun = first
        for line in _lines_of_process(form, first):
            begun = line["number"]
            if "outcome" in line:
                first = begun + PROCESSES
                yield line
        if first <= begun:  # it died while reading this one
            yield {"number": begun, "outcome": "killed the process", "seconds": 0.0, "megabytes": 0.0}
            first = begun + PROCESSES


def _lines_of_process(form: str, first: int) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.odd_files.fuzz", form, str(first), str(MUTANTS), str(PROCESSES)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            yield from map(json.loads, process.stdout)
        finally:
            _kill_group(process.pid)  # a decoder that it had started


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def is_fault(result: dict[str, Any]) -> bool:
    """Whether a mutant did harm."""
    return result["outcome"] not in GOOD or result["seconds"] > LIMIT_SECONDS or result["megabytes"] > LIMIT_MEGABYTES


@pytest.mark.full
@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_file_is_decoded_or_refused_in_bounded_time_and_memory(
    form: str, tmp_path: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        mutant(form, 0)
    except MissingTool as missing:
        pytest.skip(str(missing))
    with ThreadPoolExecutor(PROCESSES) as threads:
        found = [
            result
            for half in threads.map(lambda first: list(results(form, first)), range(1, 1 + PROCESSES))
            for result in half
        ]
    assert len(found) == MUTANTS - 1
    counts = Counter(result["outcome"] if not is_fault(result) else "fault" for result in found)
    seconds, megabytes = (max(result[what] for result in found) for what in ("seconds", "megabytes"))
    line = (
        f"fuzz {form}: {len(found)} mutants, {counts['decoded']} decoded, {counts['warned']} with a warning, "
        f"{counts['refused']} refused, {counts['fault']} faults; at most {seconds:.2f} s and {megabytes:.0f} MB"
    )
    record_property("counts", line)
    with capsys.disabled():
        print(f"\n{line}")
    faults = [result for result in found if is_fault(result)]
    for fault in faults:
        (tmp_path / f"{form} {fault['number']}").write_bytes(mutant(form, fault["number"]))
    assert not faults, f"these mutants are in {tmp_path}: {faults}"
