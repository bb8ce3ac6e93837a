"""What the four commands have in common: errors in one line, the newest run, and progress on standard error."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from edge_runtime.errors import TmgcError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

RUNS = Path("runs")
"""Where runs stand unless a command is told otherwise."""


INTERRUPTED = 130
"""The exit code of what Ctrl-C has ended, as shells have it."""


def say(line: str) -> None:
    """Tell a person something: on standard error, since standard output is for data."""
    click.echo(line, err=True)


def to_utf8(text: str) -> str:
    """The text as every file, database and broker can hold it: a file's name may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def one_line_errors(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Print a :class:`TmgcError`, or what the system refuses, as one line and exit with 2; Ctrl-C is a line, too."""

    @wraps(command)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except TmgcError as error:
            _refuse(str(error))
        except KeyboardInterrupt:
            end_interrupted("interrupted")
        except BrokenPipeError:
            raise  # click ends quietly where a reader has closed the pipe
        except OSError as error:
            what = f" {error.filename}" if error.filename else ""
            next_step = "Make room, then run it again" if error.errno == errno.ENOSPC else "Check the path"
            _refuse(f"the system refuses{what}: {error.strerror or error}. {next_step}")

    return wrapped


def end_interrupted(line: str) -> NoReturn:
    """End what Ctrl-C has interrupted, with one line; pressed again, it changes nothing any more."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    say(line)
    sys.exit(INTERRUPTED)


class OneLineCommand(click.Command):
    """A command that says what is wrong with its options in one line, for which click takes three."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run it as a program, and end the process."""
        try:
            outcome = super().main(*args, **{"prog_name": self.name, **kwargs, "standalone_mode": False})
        except click.Abort:
            end_interrupted("interrupted")
        except click.exceptions.NoArgsIsHelpError as nothing:
            nothing.show()
            sys.exit(nothing.exit_code)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else self.name
            message = error.format_message()
            _refuse(f"{message}{'' if message.endswith(('.', '?')) else '.'} See: {path} --help")
        sys.exit(outcome if isinstance(outcome, int) else 0)


class OneLineGroup(OneLineCommand, click.Group):
    """The same for a command that has subcommands."""


class CommandWithSubcommands(OneLineGroup):
    """A command that does its own work unless its first argument names a subcommand.

    A file that is called like a subcommand is reachable as ``./doctor``.

    Parameters
    ----------
    subcommands : mapping of str to str
        ``module:attribute`` of each subcommand: imported only where it is asked for.
    """

    allow_interspersed_args = True  # click's groups take everything after the first argument for arguments

    def __init__(self, *args: Any, subcommands: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._subcommands = subcommands

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._subcommands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._subcommands:
            return None
        module, _, attribute = self._subcommands[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and (command := self.get_command(click.Context(self), args[0])):
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        return click.Command.invoke(self, ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return click.Command.collect_usage_pieces(self, ctx)


def _refuse(reason: str) -> NoReturn:
    say("error: " + " ".join(reason.splitlines()))
    sys.exit(2)


def newest_run(holding: str) -> Path:
    """The run folder under ``./runs`` whose file ``holding`` was written last.

    Raises
    ------
    TmgcError
        There is none.
    """
    found = [path for path in RUNS.glob(f"*/{holding}") if path.is_file()]
    if not found:
        raise TmgcError(f"a run folder is needed: no ./{RUNS}/*/{holding} here. Name one, or make one: tmgc-train all")
    return max(found, key=lambda path: path.stat().st_mtime).parent
