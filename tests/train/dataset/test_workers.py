"""Work that is shared among processes is done to its end, whatever becomes of one of them."""

from __future__ import annotations

import os
import signal

import pytest

from train.dataset.workers import work_through


def squared(number: int) -> int:
    """The work, with numbers that bring their process down."""
    if number in (5, 13):
        os.kill(os.getpid(), signal.SIGKILL)
    if number < 0:
        raise OSError(28, "No space left on device")
    return number**2


def test_items_that_kill_their_process_are_named_and_the_rest_is_done() -> None:
    results = dict(work_through(squared, range(20), workers=2))
    assert results == {number: None if number in (5, 13) else number**2 for number in range(20)}


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(OSError, match="No space left"):
        list(work_through(squared, [1, -1, 2], workers=1))
