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


@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_what_may_be_left_undone_is_interrupted_at_once(number: signal.Signals, end: type[BaseException]) -> None:
    with Shutdown() as stop:
        with pytest.raises(end) as ended, stop.interrupting(7):
            os.kill(os.getpid(), number)
        assert stop.signal == number
        assert not isinstance(ended.value, SystemExit) or ended.value.code == 7


def test_what_follows_is_not_interrupted() -> None:
    with Shutdown() as stop:
        with stop.interrupting(7):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested


def test_a_rest_ends_once_the_end_is_requested() -> None:
    stop = Shutdown()
    stop.request()
    stop.rest(1e9)
