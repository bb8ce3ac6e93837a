from __future__ import annotations

import logging
import os
import sys
import warnings

import pytest

from edge_runtime.errors import TmgcError
from train.libraries import library, silence, versions


def test_a_missing_library_says_which_extra_to_install() -> None:
    with pytest.raises(TmgcError, match=r"no_such_library is needed.* -m pip install .*tf2onnx"):
        library("no_such_library.part", extra="export")


def test_versions_name_python_and_what_is_installed_only() -> None:
    found = versions(["numpy", "no-such-distribution"])
    assert set(found) == {"python", "numpy"}


def test_silence_holds_for_prints_logs_warnings_and_native_code(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        print("printed")
        print("printed", file=sys.stderr)
        logging.error("logged")
        warnings.warn("warned", stacklevel=1)
        os.write(2, b"native")
    os.write(2, b"after")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "after")


def test_a_log_that_was_set_up_in_silence_stays_silent_and_breaks_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        handler = logging.StreamHandler()
    handler.handle(logging.LogRecord("library", logging.WARNING, "", 0, "logged later", None, None))
    assert capfd.readouterr().err == ""


def test_silence_ends_with_an_error() -> None:
    level = logging.root.manager.disable
    with pytest.raises(ValueError), silence():
        raise ValueError
    assert logging.root.manager.disable == level
