"""Notices are lines on standard error, and what libraries in C write there goes nowhere."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from edge_runtime.logs import LOGGER, StderrHandler, replace_handler, setup_logging, silence_native_stderr
from tests.conftest import until

log = logging.getLogger("tmgc.test")


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before, level = LOGGER.handlers[:], LOGGER.level
    LOGGER.propagate = False  # pytest would keep the notices, and pytest-xdist cannot send undecodable bytes of a name
    yield
    LOGGER.propagate = True
    LOGGER.handlers[:] = before
    LOGGER.setLevel(level)


def test_info_is_the_bare_message_and_other_levels_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    log.debug("not shown")
    log.info("listening to %s", "USB")
    log.warning("it is quiet")
    log.error("there is no song")
    captured = capsys.readouterr()
    assert captured.err == "listening to USB\nwarning: it is quiet\nerror: there is no song\n"
    assert not captured.out


def test_setting_up_twice_writes_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    setup_logging()
    log.info("once")
    assert capsys.readouterr().err == "once\n"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("two\nlines\r\nhere", "two lines here"),
        ("a song of \x1b[31mred\x07", r"a song of \x1b[31mred\x07"),
        ("bytes \udcff in a name", r"bytes \udcff in a name"),
        ("şarkı ışığı", "şarkı ışığı"),
    ],
)
def test_a_notice_is_one_line_and_control_characters_are_escaped(
    message: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging()
    log.info("%s", message)
    assert capsys.readouterr().err == f"{line}\n"


def test_another_handler_takes_the_notices_for_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    class Keeper(logging.Handler):
        kept: list[str]

        def emit(self, record: logging.LogRecord) -> None:
            self.kept.append(record.getMessage())

    setup_logging()
    keeper = Keeper()
    keeper.kept = []
    with replace_handler(keeper):
        log.warning("kept")
    log.warning("written")
    assert keeper.kept == ["kept"]
    assert capsys.readouterr().err == "warning: written\n"
    assert [type(handler) for handler in LOGGER.handlers] == [StderrHandler]


def test_native_output_goes_nowhere_meanwhile_and_arrives_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    with silence_native_stderr():
        os.write(2, b"native\n")
        with silence_native_stderr():
            os.write(2, b"native\n")
        os.write(2, b"native\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_standard_error_is_restored_by_the_last_of_several_threads(capfd: pytest.CaptureFixture[str]) -> None:
    silent, may_end = threading.Event(), threading.Event()

    def call_a_library() -> None:
        with silence_native_stderr():
            silent.set()
            may_end.wait()

    thread = threading.Thread(target=call_a_library)
    with silence_native_stderr():
        thread.start()
        until(silent.is_set)
    os.write(2, b"native\n")
    may_end.set()
    thread.join()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


HANGING_LIBRARY = """
import logging, os, sys, threading
from edge_runtime.logs import setup_logging, silence_native_stderr

stream, silent = sys.stderr, threading.Event()
setup_logging()

def call_a_library_that_hangs():
    with silence_native_stderr():
        silent.set()
        threading.Event().wait()

threading.Thread(target=call_a_library_that_hangs, daemon=True).start()
silent.wait()
os.write(2, b"native\\n")
logging.getLogger("tmgc.test").warning("a notice")
print("print", file=stream)
raise RuntimeError("a traceback")
"""


@pytest.mark.parametrize("options", [(), ("-u",)], ids=["buffered", "unbuffered"])
def test_what_python_writes_arrives_while_a_library_hangs(options: tuple[str, ...]) -> None:
    command = [sys.executable, *options, "-c", HANGING_LIBRARY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, second, *rest = done.stderr.splitlines()
    assert (first, second) == ("warning: a notice", "print")
    assert rest[-1] == "RuntimeError: a traceback"
    assert "native" not in done.stderr.split("Traceback")[0]


def test_a_process_without_standard_error_goes_on() -> None:
    program = (
        "import logging, os\nos.close(2)\nimport sys\nsys.stderr = sys.__stderr__ = None\n"
        "from edge_runtime.logs import setup_logging, silence_native_stderr\n"
        "setup_logging()\n"
        "with silence_native_stderr():\n    logging.getLogger('tmgc.test').warning('lost')\n"
        "print('done')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n"
