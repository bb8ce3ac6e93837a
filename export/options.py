"""What a graph is to be like, beside its format and its recipe; and which of it a format cannot honour."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from edge_runtime.errors import TmgcError
from export.recipes import Format

ONNX_OPSET = 17
"""Version of the ONNX operators: the first in which every operator used here is settled, known to any onnxruntime since
1.12 (2022)."""

ONNX_OPSETS = range(13, 19)
"""Versions that can be asked for: 13 is the first that quantises per channel, 18 the last that tf2onnx writes."""

BATCHES = ("dynamic", "1")
"""Windows that an ONNX file takes at a time: any number, or one."""


@dataclass(frozen=True)
class GraphOptions:
    """What a graph is to be like."""

    takes: str = "picture"
    """``picture`` or ``waveform``, as in the model card."""
    keep_float: tuple[str, ...] = ()
    """Regular expressions: operators whose name fits one of them are not quantised."""
    batch: str = "dynamic"
    """One of :data:`BATCHES`; of ONNX files only."""
    opset: int = ONNX_OPSET
    """One of :data:`ONNX_OPSETS`; of ONNX files only."""

    def __post_init__(self) -> None:
        if self.opset not in ONNX_OPSETS:
            lowest, highest = ONNX_OPSETS[0], ONNX_OPSETS[-1]
            raise TmgcError(f"--opset must lie in {lowest} to {highest}, got {self.opset}: {ONNX_OPSET} is the default")
        if self.batch == "dynamic" and self.takes == "waveform":
            raise TmgcError("--batch dynamic is for pictures: with --input waveform a file takes one window, --batch 1")
        for pattern in self.keep_float:
            _compiled(pattern)


def graph_options(
    formats: Iterable[Format], *, takes: str, keep_float: Sequence[str], batch: str | None, opset: int | None
) -> GraphOptions:
    """The options of a command, with what was not given filled in.

    Raises
    ------
    TmgcError
        None of the formats can honour an option, or its value makes no sense.
    """
    if "onnx" not in {format_.name for format_ in formats} and (batch or opset is not None):
        what = f"--batch {batch}" if batch else f"--opset {opset}"
        raise TmgcError(f"{what} is for onnx files: tflite files take one window and have no opset. Add --format onnx")
    return GraphOptions(
        takes=takes,
        keep_float=tuple(keep_float),
        batch=batch or ("1" if takes == "waveform" else "dynamic"),
        opset=ONNX_OPSET if opset is None else opset,
    )


def kept_float(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names of operators that one of the patterns fits.

    Parameters
    ----------
    patterns : sequence of str
        Regular expressions, that fit anywhere in a name.
    names : sequence of str
        Of all operators.

    Raises
    ------
    TmgcError
        A pattern fits none; the message says which names are near.
    """
    for pattern in patterns:
        if not any(_compiled(pattern).search(name) for name in names):
            words = sorted({word for name in names for word in re.split(r"[/;:]", name)})
            near = get_close_matches(pattern, words, n=3, cutoff=0.3) or words[:3]
            raise TmgcError(f"--keep-float {pattern} fits no operator of the network. Near it: {', '.join(near)}")
    return [name for name in names if any(_compiled(pattern).search(name) for pattern in patterns)]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise TmgcError(f"--keep-float takes a regular expression, got {pattern}: {error}. Correct it") from error
