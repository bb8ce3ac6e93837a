"""Commands: every error is one line and an exit code."""

from __future__ import annotations

import errno
import signal
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edge_runtime import TmgcError
from edge_runtime.cli.base import CommandWithSubcommands, OneLineCommand, OneLineGroup
from tests.edge_runtime.conftest import LISTEN

RAISE_THE_LIMIT = "Raise the limit (ulimit -v, LimitAS=), or end other programs"


def raising(error: BaseException) -> OneLineCommand:
    def command() -> None:
        raise error

    return OneLineCommand("command", callback=command)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TmgcError("a rule: got this. Do that"), 2, "error: a rule: got this. Do that"),
        (TmgcError("there is no song\nof two lines.mp3"), 2, r"error: there is no song\nof two lines.mp3"),
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
        (MemoryError(), 2, f"error: there is too little memory: MemoryError. {RAISE_THE_LIMIT}"),
        (
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            2,
            f"error: there is too little memory: [Errno 12] Cannot allocate memory. {RAISE_THE_LIMIT}",
        ),
        (
            ImportError("libx.so: failed to map segment from shared object"),
            2,
            "error: there is too little memory: libx.so: failed to map segment from shared object. " + RAISE_THE_LIMIT,
        ),
        (
            RuntimeError("can't start new thread"),
            2,
            f"error: there is too little memory: can't start new thread. {RAISE_THE_LIMIT}",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(error: BaseException, code: int, message: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    done = CliRunner().invoke(raising(error))
    signal.signal(signal.SIGINT, before)
    assert done.exit_code == code
    assert done.stderr == message + "\n"


def test_what_a_user_cannot_cause_is_not_hidden() -> None:
    for error in (ZeroDivisionError(), RuntimeError("a defect"), ImportError("a defect")):
        assert CliRunner().invoke(raising(error)).exception is error


@click.group(cls=OneLineGroup)
def group() -> None:
    """Do things."""


@group.command(cls=OneLineCommand)
@click.option("--epochs", default=1)
def fit(epochs: int) -> int:
    return epochs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["fit", "--epochs", "x"],
            "error: Invalid value for '--epochs': 'x' is not a valid integer. See: tool fit --help",
        ),
        (["fit", "--epoch"], "error: No such option '--epoch'. Did you mean '--epochs'? See: tool fit --help"),
        (["fot"], "error: No such command 'fot'. Did you mean 'fit'? See: tool --help"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_help(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(group, arguments, prog_name="tool")
    assert done.exit_code == 2
    assert done.output == message + "\n"


def test_a_command_that_returns_a_number_ends_with_it() -> None:
    assert CliRunner().invoke(group, ["fit", "--epochs", "1"]).exit_code == 1


@click.command(cls=CommandWithSubcommands, subcommands={"fit": f"{__name__}:fit"})
@click.argument("files", nargs=-1)
@click.option("--hop", default=1.0)
def listen(files: tuple[str, ...], hop: float) -> None:
    click.echo(f"{files} {hop}")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "() 1.0\n"),
        (["song.mp3", "--hop", "2", "-"], "('song.mp3', '-') 2.0\n"),
        (["./fit"], "('./fit',) 1.0\n"),
    ],
)
def test_a_command_with_subcommands_does_its_own_work_unless_one_is_named(arguments: list[str], output: str) -> None:
    done = CliRunner().invoke(listen, arguments)
    assert (done.exit_code, done.output) == (0, output)


def test_a_named_subcommand_runs_instead_and_the_help_lists_it() -> None:
    assert CliRunner().invoke(listen, ["fit", "--epochs", "3"]).exit_code == 3
    assert "  fit" in CliRunner().invoke(listen, ["--help"]).output


def test_a_group_without_a_command_shows_its_help() -> None:
    done = CliRunner().invoke(group, [])
    assert done.exit_code == 2
    assert "Do things." in done.output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, a device without room, is Linux's")
@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--json"]])
def test_a_standard_output_without_room_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*LISTEN, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: the system refuses: No space left on device. Make room, then run it again\n"


def test_a_closed_standard_output_is_none() -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *LISTEN, "--version"]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
