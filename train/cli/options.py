"""What the options of several commands have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

Command = Callable[..., Any]

SEED = click.IntRange(min=0, max=2**32 - 1)


class Options:
    """Options that more than one command takes; a decorator, and help lists them in this order."""

    def __init__(self, *options: Callable[[Command], Command]) -> None:
        self._options = {_name(option): option for option in options}

    def __call__(self, command: Command) -> Command:
        for option in reversed(self._options.values()):
            command = option(command)
        return command

    def without(self, name: str) -> Options:
        """The same but for one, which is named as its value is: ``sample_rate``."""
        return Options(*(option for own, option in self._options.items() if own != name))

    def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a command's values that these options gave."""
        return {name: value for name, value in values.items() if name in self._options}


def _name(option: Callable[[Command], Command]) -> str:
    (parameter,) = click.command()(option(lambda: None)).params
    return str(parameter.name)


def require_keras() -> None:
    """Import Keras and wake its backend without what they print on the way: no user can act on it."""
    from train.libraries import library, silence

    with silence():
        library("tensorflow", extra="train")  # Keras loads it for its data sets and logs whatever the backend is
        library("keras", extra="train").ops.zeros(1)
