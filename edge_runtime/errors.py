"""Errors that a user can cause: each message states the rule, what was found and the next step."""

from __future__ import annotations

from reprlib import Repr

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


class TmgcError(Exception):
    """Bad input or usage: a command prints the message as one line and exits with 2."""


class UntrustedModelError(TmgcError):
    """A model file is damaged or harmful, or computes something else here than when it was exported, or no numbers.

    Another attempt would fail in the same way: a service is not restarted.
    """


class TooLittleMemoryError(TmgcError):
    """There is too little memory for what has never run here, or a limit forbids it.

    Another attempt would most likely fail in the same way: a service is not restarted.
    """


class InvalidAnswerError(TmgcError):
    """A model's answer to one window is not finite: it is never published."""


def first_line(error: BaseException, *, longest: int = 200) -> str:
    """The first line of a library's error message, or the name of its class where there is none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:longest]


def shortened(value: object) -> str:
    """A value from a file for a message: in one line, with ``...`` where it is long or deeply nested."""
    return _SHORT.repr(value)
