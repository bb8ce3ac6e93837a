"""Notices are lines on standard error."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from edge_runtime.logs import LOGGER, StderrHandler, replace_handler, setup_logging

log = logging.getLogger("tmgc.test")


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before, level, propagate = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    yield
    LOGGER.propagate = propagate
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
        ("two\nlines\r\nhere\n", r"two\nlines\r\nhere"),
        ("a song of \x1b[31mred\x07", r"a song of \x1b[31mred\x07"),
        ("bytes \udcff in a name", r"bytes \xff in a name"),
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


def test_a_notice_is_written_once_also_where_a_library_configures_the_root_logger() -> None:
    program = (
        "import logging\nlogging.basicConfig()\nfrom edge_runtime.logs import setup_logging\n"
        "setup_logging()\nlogging.getLogger('tmgc.test').warning('once')\nlogging.basicConfig(force=True)\n"
        "logging.getLogger('tmgc.test').warning('again')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "warning: once\nwarning: again\n"
