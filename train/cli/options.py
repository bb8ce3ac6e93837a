"""Options that several commands share, and the import of Keras before they run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

Command = Callable[..., Any]

SEED = click.IntRange(min=0, max=2**32 - 1)

WIDTH = click.option(
    "--width",
    default=1.0,
    show_default=True,
    help="Factor for the channels of the layers, as of efficientnet_lite0 and mobilenet_v2: 0.35 or 0.5 for less work.",
)


class Options:
    """Options of more than one command, as a decorator; help lists them in this order."""

    def __init__(self, *options: Callable[[Command], Command]) -> None:
        self._options = {_name(option): option for option in options}

    def __call__(self, command: Command) -> Command:
        for option in reversed(self._options.values()):
            command = option(command)
        return command

    def __iter__(self) -> Iterator[Callable[[Command], Command]]:
        return iter(self._options.values())

    def without(self, name: str) -> Options:
        """The same options except for the one of this parameter name, such as ``sample_rate``."""
        return Options(*(option for own, option in self._options.items() if own != name))

    def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of these options among all values of a command."""
        return {name: value for name, value in values.items() if name in self._options}


def _name(option: Callable[[Command], Command]) -> str:
    (parameter,) = click.command()(option(lambda: None)).params
    return str(parameter.name)


class _ImageSize(click.ParamType[tuple[int, int]]):
    """Pixels of an image: ``224`` for a square, or ``64x173`` for height x width."""

    name = "N|HxW"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):  # click converts a value again that is converted
            return value
        found = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", value, re.ASCII)
        if not found:
            self.fail(f"pixels are a number such as 224, or height x width such as 64x173, got {value!r}")
        height, width = found.groups()
        return int(height), int(width or height)


def _images(size: str, colormap: str) -> Options:
    return Options(
        click.option(
            "--image-size",
            type=_ImageSize(),
            default=size,
            show_default=True,
            help="Pixels of the images: 224 is square, 64x173 is height x width.",
        ),
        click.option(
            "--colormap",
            type=click.Choice(["magma", "gray"]),
            default=colormap,
            show_default=True,
            help="Colours of the images: magma makes three channels, gray one.",
        ),
    )


image_options = _images("224", "magma")
"""How a spectrogram becomes an image."""

student_image_options = _images("64x173", "gray")
"""The same for a small network: as many rows as mel bands, half as many columns as frames, one channel."""


def require_keras() -> None:
    """Import Keras and initialise its backend without the messages that they print: no user can act on them."""
    from train.libraries import has_tensorflow, library, silence

    with silence():
        if has_tensorflow():  # Keras imports it for its datasets, whatever the backend is
            library("tensorflow", extra="train")
        library("keras", extra="train").ops.zeros(1)
