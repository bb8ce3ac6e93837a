"""Errors that a user can cause: each message states the rule, what was found and the next step."""

from __future__ import annotations

import os
import re
import shlex
import sys
from reprlib import Repr
from sysconfig import get_path

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


def pip_install(*packages: str) -> str:
    """The command that installs packages into the environment that runs: a bare ``pip`` may be another one's."""
    sudo = [] if os.access(get_path("purelib"), os.W_OK) else ["sudo"]
    return shlex.join([*sudo, sys.executable, "-m", "pip", "install", *packages])


def pip_install_extra(extra: str) -> str:
    """The command that installs the packages of an extra of tmgc, which is in no package index itself."""
    from importlib.metadata import PackageNotFoundError

    try:
        return pip_install(*_packages_of(extra))
    except PackageNotFoundError:  # the checkout itself runs
        return pip_install(f".[{extra}]")


def _packages_of(extra: str) -> list[str]:
    from importlib.metadata import requires

    found: list[str] = []
    for requirement in requires("tmgc") or []:
        if f'extra == "{extra}"' not in requirement.replace("'", '"'):
            continue
        package, *inner = re.findall(r"[\w.-]+", re.split("[<>=!~;]", requirement)[0])
        found += [each for name in inner for each in _packages_of(name)] if package == "tmgc" else [package]
    return list(dict.fromkeys(found))
