"""Reads a file of the corpus with the product, and says what is wrong with the result."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime import AudioFile, TmgcError
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources.stdin import StandardInput
from tests.odd_files.ladder import heard
from tests.odd_files.odd_file import Outcome

RATE = 22_050

RAW_WORDS = re.compile(
    r"Traceback|not a regular file|possibly a pipe|mpg123|Format not recognised|malformed|psf|System error"
    r"|Invalid data found|Error opening input|\[\w+ @ 0x|moov atom|LibsndfileError|UnicodeEncodeError",
    re.IGNORECASE,
)
"""Words of libraries and of ffmpeg, which say nothing to a user."""

_LENGTH_TOLERANCE = 0.15
"""Seconds: the encoder's delay and padding, which not every format can tell."""


@dataclass(frozen=True)
class Hearing:
    """What came of a file."""

    rungs: list[int]
    seconds: float
    warnings: list[str]
    refusal: str | None


def hear(path: Path) -> Hearing:
    """Decode a file from its beginning to its end."""
    try:
        with AudioFile(path, sample_rate=RATE) as file:
            samples = np.concatenate([np.zeros(0, np.float32), *file.blocks()])
            return Hearing(heard(samples, RATE), len(samples) / RATE, list(file.warnings), None)
    except TmgcError as error:
        return Hearing([], 0.0, [], str(error))


def hear_standard_input(path: Path) -> Hearing:
    """The same where another program writes the file to a pipe."""
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as cat:
        assert cat.stdout
        source = StandardInput(cat.stdout.fileno(), sample_rate=RATE, stop=Shutdown())
        try:
            samples = np.concatenate([np.zeros(0, np.float32), *source.blocks()])
        except TmgcError as error:
            return Hearing([], 0.0, [], str(error))
        finally:
            cat.kill()
    return Hearing(heard(samples, RATE), len(samples) / RATE, list(source.warnings), None)


def faults(hearing: Hearing, right: Outcome) -> Iterator[str]:
    """Each way in which a hearing is not what is right, a sentence."""
    lines = [*hearing.warnings, *([] if hearing.refusal is None else [hearing.refusal])]
    for line in lines:
        if RAW_WORDS.search(line):
            yield f"the words are a library's: {line!r}"
    if right.refused is not None and (hearing.refusal is not None) != right.refused:
        yield f"refused: {hearing.refusal}" if hearing.refusal else f"heard {hearing.rungs}, {hearing.seconds:.2f} s"
    if right.words and lines and not any(re.search(right.words, line, re.IGNORECASE) for line in lines):
        yield f"no line says {right.words!r}: {lines}"
    if hearing.refusal is None and right.refused is not True:
        yield from _faults_of_sound(hearing, right)


def _faults_of_sound(hearing: Hearing, right: Outcome) -> Iterator[str]:
    expected = list(range(len(hearing.rungs)))
    if right.warned is False and hearing.rungs != expected:
        yield f"heard {hearing.rungs}"
    if not right.at_least <= len(set(hearing.rungs)) <= right.at_most + 1:
        yield f"heard {hearing.rungs}, not {right.at_least} to {right.at_most} s"
    if right.seconds is not None and abs(hearing.seconds - right.seconds) > _LENGTH_TOLERANCE:
        yield f"{hearing.seconds:.2f} s long, not {right.seconds}"
    if right.warned is not None and bool(hearing.warnings) != right.warned:
        yield f"warned: {hearing.warnings}" if hearing.warnings else f"no word, heard {hearing.rungs}"
    if len(set(hearing.rungs)) < right.at_most and right.warned is None and not hearing.warnings:
        yield f"heard {hearing.rungs} of {right.at_most} s without a word"
