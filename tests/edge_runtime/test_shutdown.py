"""The end is requested by signals, once."""

from __future__ import annotations

import os
import signal

import pytest

from edge_runtime.shutdown import Shutdown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_requests_the_end_and_the_next_one_has_its_usual_effect(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with Shutdown() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.signal == number
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_handlers_are_restored_without_a_request() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Shutdown():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_rest_ends_once_the_end_is_requested() -> None:
    stop = Shutdown()
    stop.request()
    stop.rest(1e9)
