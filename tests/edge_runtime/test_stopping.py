"""The end is asked for by signals, once, and heeded by whoever looks."""

from __future__ import annotations

import os
import signal

import pytest

from edge_runtime.stopping import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_interrupts_nothing_and_the_next_one_is_the_systems_again(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with Stop() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        assert stop.signal == number
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_signals_are_given_back_where_nobody_asked() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_rest_is_over_once_the_end_is_asked_for() -> None:
    stop = Stop()
    stop.ask()
    stop.rest(1e9)
