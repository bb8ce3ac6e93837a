"""Whatever goes wrong is one line and an exit code."""

from __future__ import annotations

import errno
import signal

import click
import pytest
from click.testing import CliRunner

from edge_runtime import TmgcError
from edge_runtime.cli.base import OneLineCommand, OneLineGroup
from edge_runtime.files import to_utf8


def raising(error: BaseException) -> OneLineCommand:
    def command() -> None:
        raise error

    return OneLineCommand("command", callback=command)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (TmgcError("a rule: got this. Do that"), 2, "error: a rule: got this. Do that"),
        (TmgcError("there is no song\nof two lines.mp3"), 2, "error: there is no song of two lines.mp3"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "error: the system refuses: No space left on device. Make room, then run it again",
        ),
        (
            OSError(errno.EACCES, "Permission denied", "/x"),
            2,
            "error: the system refuses /x: Permission denied. Check the path",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(error: BaseException, code: int, said: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    done = CliRunner().invoke(raising(error))
    signal.signal(signal.SIGINT, before)
    assert done.exit_code == code
    assert done.stderr == said + "\n"


def test_what_a_user_cannot_cause_is_not_hidden() -> None:
    assert isinstance(CliRunner().invoke(raising(ZeroDivisionError())).exception, ZeroDivisionError)


@pytest.mark.parametrize(("text", "said"), [("şarkı", "şarkı"), ("caf\udce9", "caf?")])
def test_what_is_no_utf_8_can_be_said_all_the_same(text: str, said: str) -> None:
    assert to_utf8(text) == said


@click.group(cls=OneLineGroup)
def group() -> None:
    """Do things."""


@group.command(cls=OneLineCommand)
@click.option("--epochs", default=1)
def fit(epochs: int) -> int:
    return epochs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["fit", "--epochs", "x"],
            "error: Invalid value for '--epochs': 'x' is not a valid integer. See: tool fit --help",
        ),
        (["fit", "--epoch"], "error: No such option '--epoch'. Did you mean '--epochs'? See: tool fit --help"),
        (["fot"], "error: No such command 'fot'. Did you mean 'fit'? See: tool --help"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_help(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(group, arguments, prog_name="tool")
    assert done.exit_code == 2
    assert done.output == said + "\n"


def test_a_command_that_returns_a_number_ends_with_it() -> None:
    assert CliRunner().invoke(group, ["fit", "--epochs", "1"]).exit_code == 1


def test_a_group_without_a_command_shows_its_help() -> None:
    done = CliRunner().invoke(group, [])
    assert done.exit_code == 2
    assert "Do things." in done.output
