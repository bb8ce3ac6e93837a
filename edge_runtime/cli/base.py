"""What the commands share: notices on standard error, errors in one line, and subcommands imported on demand."""

from __future__ import annotations

import errno
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import click

from edge_runtime.errors import TmgcError, TooLittleMemoryError, UntrustedModelError, first_line
from edge_runtime.logs import setup_logging
from edge_runtime.memory_limit import LISTENING_MB, is_lack_of_memory, memory_line, require_memory
from edge_runtime.terminal import prepare_streams

log = logging.getLogger("tmgc.cli")

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C has ended, as shells define it."""


threads_option = click.option(
    "--threads", type=int, help="Threads of a model. Default: all usable cores but one, at most 4."
)

engine_option = click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="litert, tflite-runtime, onnxruntime or openvino; auto: the fastest here, found out at the first start.",
)

trust_option = click.option(
    "--trust-anyway", is_flag=True, help="Run a model that fails its golden windows on this machine, at your own risk."
)


def say(line: str) -> None:
    """Log a command's own notice; standard output is for data."""
    log.info("%s", line)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """A :class:`TmgcError`, or what the system refuses, is one line and exit code 2; Ctrl-C is one line, too."""
    try:
        yield
    except (UntrustedModelError, TooLittleMemoryError) as error:
        from edge_runtime.service import MISCONFIGURED, is_service

        _refuse(str(error), MISCONFIGURED if is_service() else 2)
    except TmgcError as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        end_interrupted("interrupted")
    except BrokenPipeError:
        raise  # click ends quietly where a reader has closed the pipe
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        if is_lack_of_memory(error):
            _refuse(memory_line(first_line(error)))
        if not isinstance(error, OSError):
            raise
        what = f" {error.filename}" if error.filename else ""
        next_step = "Make room, then run it again" if error.errno == errno.ENOSPC else "Check the path"
        _refuse(f"the system refuses{what}: {error.strerror or error}. {next_step}")


def end_interrupted(line: str) -> NoReturn:
    """End after Ctrl-C with one line and exit code 130; a second Ctrl-C is ignored."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    say(line)
    sys.exit(INTERRUPTED)


class OneLineCommand(click.Command):
    """A command whose errors, wrong options included, are one line on standard error; ``-h`` is ``--help``."""

    def __init__(self, *args: Any, context_settings: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        settings = {"help_option_names": ["-h", "--help"], **(context_settings or {})}
        super().__init__(*args, **{**kwargs, "context_settings": settings})

    def invoke(self, ctx: click.Context) -> Any:
        with _errors_in_one_line():
            require_memory(LISTENING_MB)
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run as a program, and end the process."""
        prepare_streams()
        setup_logging()
        try:
            with _errors_in_one_line():
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
    """The same for a group of commands."""


class CommandWithSubcommands(OneLineGroup):
    """A command that does its own work unless its first argument names a subcommand.

    A file with the name of a subcommand is reachable as ``./doctor``.

    Parameters
    ----------
    subcommands : mapping of str to str
        ``module:attribute`` of each subcommand, imported only when it is needed.
    """

    allow_interspersed_args = True  # a group reads no options behind its arguments

    def __init__(self, *args: Any, subcommands: Mapping[str, str], **kwargs: Any) -> None:
        # without arguments it does its own work; a group would print its help
        super().__init__(*args, **{"invoke_without_command": True, **kwargs})
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
        with _errors_in_one_line():
            require_memory(LISTENING_MB)
            return click.Command.invoke(self, ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return click.Command.collect_usage_pieces(self, ctx)


def _refuse(reason: str, code: int = 2) -> NoReturn:
    log.error("%s", reason)
    sys.exit(code)
