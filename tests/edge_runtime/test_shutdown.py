"""The end is asked for by signals, once, and heeded by whoever looks."""

from __future__ import annotations

import os
import signal

import pytest

from edge_runtime.shutdown import Shutdown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_interrupts_nothing_and_the_next_one_is_the_systems_again(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with Shutdown() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.signal == number
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_signals_are_given_back_where_nobody_asked() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Shutdown():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_rest_is_over_once_the_end_is_asked_for() -> None:
    stop = Shutdown()
    stop.request()
    stop.rest(1e9)
