"""Golden windows: six synthetic sounds whose probabilities each exported file carries, to be computed again on a board.

A file with the right bytes can still be computed wrongly, by kernels of a library that fail on one kind of processor.
So the exporter stores the file's own probabilities for these sounds, and whoever opens the file compares. The sounds
are formulas with a seed, so that a file carries no sound, and they pass the board's own spectrogram, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError, UntrustedModelError
from edge_runtime.interpreters import Interpreter, installed_engines, open_interpreter
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings

log = logging.getLogger("tmgc.model")

Waveform = NDArray[np.float64]
"""``[shape=(n,)], float64``"""

VERSION = 1
"""Of the sounds: files of another version cannot be compared."""

TOLERANCES = {"float32": 1e-3, "float16": 1e-2, "dynamic": 0.1, "int8": 0.1}
"""Highest difference of a probability from what the exporter computed, by recipe. A right engine differs by the order
of its sums: 1e-6 in float32; in 8 bits by single steps of a rounding, below 1e-4 between x86-64 and emulated ARM."""

_SUM_TOLERANCE = 1e-2
"""Probabilities sum to 1 but for 8-bit rounding."""


@dataclass(frozen=True)
class GoldenResult:
    """What an interpreter makes of one golden window."""

    window: str
    expected: tuple[float, ...]
    """Probabilities by the exporter, each in [0, 1]."""
    found: tuple[float, ...]
    """Probabilities by this interpreter; anything, where it is broken."""
    tolerance: float

    @property
    def difference(self) -> float:
        """Largest absolute difference of a probability; NaN where one is not finite."""
        return float(np.abs(np.subtract(self.found, self.expected)).max())

    @property
    def passed(self) -> bool:
        """Whether it is finite, sums to 1, and is within tolerance."""
        return self.difference <= self.tolerance and abs(sum(self.found) - 1) <= _SUM_TOLERANCE

    def failure(self, runtime: str) -> str:
        """The failure in one line: window, expected, got, tolerance and engine."""
        distance = np.abs(np.subtract(self.found, self.expected))
        worst = int(np.where(np.isfinite(distance), distance, np.inf).argmax())
        return (
            f"golden window {self.window!r}: {runtime} computes {self.found[worst]:.4g} for genre {worst + 1}, the "
            f"exporter {self.expected[worst]:.4g} (tolerance {self.tolerance:g}; the sum is {sum(self.found):.4g})"
        )


def golden_windows(settings: SpectrogramSettings) -> dict[str, Samples]:
    """The sounds, by name.

    Parameters
    ----------
    settings : SpectrogramSettings
        Its rate and window length are used.

    Returns
    -------
    windows : dict of str to np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
    """
    count, rate = settings.window_samples, settings.sample_rate
    seconds = np.arange(count) / rate
    return {name: _normalised(make(seconds), level) for name, (make, level) in _SOUNDS.items()}


def golden_document(
    recipe: str, found: Mapping[str, Sequence[float]], keras: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """What a model card keeps of the golden windows.

    Parameters
    ----------
    recipe : str
        Name of the recipe, which sets the tolerance.
    found, keras : mapping of str to sequence of float
        Probabilities of each window by the file and by Keras.
    """
    rounded = {
        name: {window: [round(float(value), 6) for value in values] for window, values in each.items()}
        for name, each in (("probabilities", found), ("keras", keras))
    }
    return {"version": VERSION, "tolerance": TOLERANCES[recipe], **rounded}


def predict_golden(interpreter: _Invoked, names: Sequence[str] = ()) -> dict[str, tuple[float, ...]]:
    """The probabilities of all golden windows, or of some, without temperature scaling."""
    card = interpreter.card
    spectrogram = Spectrogram(card.spectrogram, card.colormap_array)
    found = {}
    for name, samples in golden_windows(card.spectrogram).items():
        if not names or name in names:
            window = samples if card.input_kind == "waveform" else spectrogram.image(samples)
            found[name] = tuple(map(float, interpreter.invoke(window)))
    return found


def check_golden(interpreter: Interpreter) -> list[GoldenResult]:
    """Compute the golden windows of a model's card again.

    Returns
    -------
    results : list of GoldenResult
        Empty where the card has none, or those of another version: such a file cannot be verified.

    Raises
    ------
    TmgcError
        The card's are malformed.
    """
    golden = interpreter.card.export.get("golden") or {}
    if not isinstance(golden, Mapping) or golden.get("version") != VERSION:
        return []
    try:
        expected = {str(name): tuple(map(float, values)) for name, values in golden["probabilities"].items()}
        tolerance = float(golden["tolerance"])
        if not expected or not set(expected) <= set(_SOUNDS) or not 0 < tolerance <= max(TOLERANCES.values()):
            raise ValueError("unknown windows or tolerance")
        if any(len(values) != len(interpreter.card.genres) for values in expected.values()):
            raise ValueError("another number of genres")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TmgcError(f"a model card's golden windows are malformed ({error}): export the model again") from error
    found = predict_golden(interpreter, list(expected))
    return [GoldenResult(name, values, found[name], tolerance) for name, values in expected.items()]


def open_verified(path: str | Path, *, threads: int | None = None) -> Interpreter:
    """Load a model file with the first engine that computes its golden windows as the exporter did.

    Parameters
    ----------
    path : str or Path
    threads : int > 0, optional
        As for :func:`edge_runtime.interpreters.open_interpreter`.

    Returns
    -------
    interpreter : Interpreter
        A file without golden windows is taken as it is: :func:`check_golden` tells.

    Raises
    ------
    UntrustedModelError
        No installed engine does.
    TmgcError
        The file cannot be opened.
    """
    path, failed = Path(path), dict[str, str]()
    for engine in (None, *installed_engines(path)):  # None is the first that can be imported
        try:
            interpreter = open_interpreter(path, threads=threads, engine=engine)
            failures = [each for each in check_golden(interpreter) if not each.passed]
        except TmgcError:
            if not failed:
                raise
            continue
        if not failures:
            return interpreter
        if interpreter.runtime not in failed:
            failed[interpreter.runtime] = failures[0].failure(interpreter.runtime)
            log.error("%s: %s", path, failed[interpreter.runtime])
    first = next(iter(failed.values()))
    raise UntrustedModelError(
        f"a model must compute here what it did when it was exported: {path} does not ({first}). Update the "
        "interpreter, take another export of the model, or, at your own risk, --trust-anyway"
    )


class _Invoked(Protocol):
    """The part of an interpreter that is needed."""

    @property
    def card(self) -> Any: ...

    def invoke(self, model_input: Any) -> NDArray[np.float32]: ...


def _normalised(sound: Waveform, level: float) -> Samples:
    return (sound * (level / max(float(np.abs(sound).max()), 1e-12))).astype(np.float32)


def _noise(seconds: Waveform, seed: int) -> Waveform:
    """White noise; this generator's numbers never change, by NumPy's policy."""
    noise: Waveform = np.random.RandomState(seed).uniform(-1.0, 1.0, len(seconds))
    return noise


def _tone(phase: Waveform, harmonics: int, rolloff: float) -> Waveform:
    """Harmonics of a phase in cycles, each weaker than the one before."""
    return sum((np.sin(2 * np.pi * k * phase) / k**rolloff for k in range(1, harmonics + 1)), np.zeros_like(phase))


def _phase(hertz: Waveform, seconds: Waveform) -> Waveform:
    step = seconds[1] - seconds[0]
    phase: Waveform = np.cumsum(hertz) * step
    return phase


def _pulse(seconds: Waveform, period: float, decay: float) -> Waveform:
    """An envelope that starts anew every period and decays with a time constant, both in seconds."""
    return np.exp(-np.mod(seconds, period) / decay)


def _chord(seconds: Waveform, *hertz: float) -> Waveform:
    return sum((_tone(each * seconds, 8, 1.0) for each in hertz), np.zeros_like(seconds))


def _music(seconds: Waveform) -> Waveform:
    chord = _chord(seconds, 196.0, 246.94, 293.66)
    return chord * _pulse(seconds, 0.5, 0.4) + 1.5 * _percussion(seconds)


def _held_chord(seconds: Waveform) -> Waveform:
    return _chord(seconds, 220.0, 261.63, 329.63) + 0.1 * _noise(seconds, 3)


def _melody(seconds: Waveform) -> Waveform:
    """A plucked scale with vibrato."""
    notes = np.array([0, 1.5, 3, 5, 7, 8.5, 10, 12])[(seconds / 0.25).astype(int) % 8]
    hertz = 220.0 * 2 ** (notes / 12) * (1 + 0.01 * np.sin(2 * np.pi * 6 * seconds))
    return _tone(_phase(hertz, seconds), 10, 1.2) * _pulse(seconds, 0.25, 0.3)


def _percussion(seconds: Waveform) -> Waveform:
    thump = np.sin(2 * np.pi * 60.0 * seconds) * _pulse(seconds, 0.5, 0.08)
    return thump + 0.5 * _noise(seconds, 1) * _pulse(seconds, 0.25, 0.03)


def _speech(seconds: Waveform) -> Waveform:
    """A gliding voice of alternating vowels, in syllables with pauses."""
    hertz = 120.0 + 30.0 * np.sin(2 * np.pi * 0.7 * seconds)
    phase, voice = _phase(hertz, seconds), np.zeros_like(seconds)
    vowel = 0.5 - 0.5 * np.cos(2 * np.pi * 2.1 * seconds)
    formants = ((700 - 400 * vowel, 90.0), (1200 + 900 * vowel, 120.0))
    for k in range(1, 25):
        gain = sum((1 / (1 + ((k * hertz - centre) / width) ** 2) for centre, width in formants), 0.0)
        voice += gain * np.sin(2 * np.pi * k * phase)
    return voice * np.maximum(0.0, np.sin(2 * np.pi * 4.2 * seconds)) ** 0.5


_SOUNDS: dict[str, tuple[Callable[[Waveform], Waveform], float]] = {
    "loud": (_music, 1.0),
    "quiet": (_held_chord, 0.01),
    "tonal": (_melody, 0.3),
    "percussive": (_percussion, 0.5),
    "speech-like": (_speech, 0.3),
    "noise": (lambda seconds: _noise(seconds, 2), 0.2),
}
"""Formula and peak of each sound."""
