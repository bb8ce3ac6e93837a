"""Work that is shared among processes is done to its end, whatever becomes of one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.workers import TRIES, TRIES_KILLED, Lost, work_through


def squared(number: int) -> int:
    """The work, with numbers that bring their process down."""
    if number in (5, 13):
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    if number < 0:
        raise OSError(28, "No space left on device")
    return number**2


def test_items_that_kill_their_process_are_named_and_the_rest_is_done() -> None:
    results = dict(work_through(squared, range(20), workers=2))
    crashed = Lost("the decoder crashed on it")
    killed = Lost("its process was killed each time; memory may have run out", killed=True)
    lost = {5: crashed, 13: crashed, 17: killed}
    assert results == {number: lost.get(number, number**2) for number in range(20)}


def dies(attempts: Path) -> None:
    """Leaves a file for each time that it was tried."""
    with attempts.open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL if attempts.stem == "killed" else signal.SIGABRT)


@pytest.mark.parametrize(("name", "tries"), [("crashed", TRIES), ("killed", TRIES_KILLED)])
def test_an_item_is_tried_again_before_it_is_lost(name: str, tries: int, tmp_path: Path) -> None:
    ((_, result),) = work_through(dies, [tmp_path / name], workers=2)
    assert isinstance(result, Lost)
    assert (tmp_path / name).read_text() == "x" * tries


def sleeps(seconds: float, beat: Callable[[], None]) -> float:
    """At work in every moment, unless it is to hang."""
    until = time.monotonic() + abs(seconds)
    while time.monotonic() < until:
        time.sleep(0.1)
        if seconds > 0:
            beat()
    return seconds


def test_an_item_that_hangs_is_lost_and_one_that_only_takes_long_is_not() -> None:
    results = dict(work_through(sleeps, [0.0, -9.0, 3.0, 0.1], workers=2, hang_seconds=2.0))
    assert results == {0.0: 0.0, -9.0: Lost("the decoder hung on it for 2 s"), 3.0: 3.0, 0.1: 0.1}


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(OSError, match="No space left"):
        list(work_through(squared, [1, -1, 2], workers=1))


def threads(_: int) -> str | None:
    """How many threads numeric libraries start here."""
    return os.environ.get("OPENBLAS_NUM_THREADS")


def test_a_process_computes_with_one_thread_and_the_environment_stays() -> None:
    before = dict(os.environ)
    assert dict(work_through(threads, [0], workers=1)) == {0: "1"}
    assert dict(os.environ) == before


def interrupts_blocked(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


_IN_A_NEW_PROCESS = """
from edge_runtime.workers import work_through
from tests.edge_runtime.test_workers import interrupts_blocked

assert all(blocked for _, blocked in work_through(interrupts_blocked, range(2), workers=2))
"""


def test_ctrl_c_reaches_no_process_not_even_the_first_of_all() -> None:
    """What multiprocessing starts along with its first process unblocks the signal."""
    subprocess.run([sys.executable, "-c", _IN_A_NEW_PROCESS], check=True)


class EndsAtOnce:
    """What a process ends at when it is sent there."""

    def __call__(self, item: int) -> int:
        return item

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_processes_that_do_not_start_are_no_fault_of_the_items() -> None:
    with pytest.raises(TmgcError, match="these end as they start \\(exit code 3\\)"):
        list(work_through(EndsAtOnce(), [1, 2], workers=1))
