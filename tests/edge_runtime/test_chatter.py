"""What libraries in C write goes nowhere, and what Python writes afterwards is read again."""

from __future__ import annotations

import os
import threading

import pytest

from edge_runtime.logs import silence_native_stderr, standard_error_kept
from tests.conftest import until


def test_chatter_goes_nowhere_and_the_rest_is_read(capfd: pytest.CaptureFixture[str]) -> None:
    with silence_native_stderr():
        os.write(2, b"chatter\n")
    os.write(2, b"news\n")
    assert capfd.readouterr().err == "news\n"


def test_a_thread_that_hangs_in_a_library_does_not_keep_the_news(capfd: pytest.CaptureFixture[str]) -> None:
    hangs, may_end = threading.Event(), threading.Event()

    def call_a_library() -> None:
        with silence_native_stderr():
            hangs.set()
            may_end.wait()

    thread = threading.Thread(target=call_a_library)
    with standard_error_kept():
        thread.start()
        until(hangs.is_set)
        os.write(2, b"chatter\n")
    os.write(2, b"news\n")
    may_end.set()
    thread.join()
    os.write(2, b"more\n")
    assert capfd.readouterr().err == "news\nmore\n"
