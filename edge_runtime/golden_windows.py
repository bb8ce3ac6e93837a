"""Golden windows: six synthetic sounds whose probabilities each exported file carries, to be computed again on a board.

A file with the right bytes can still be computed wrongly, by kernels of a library that fail on one kind of processor.
So the exporter stores the file's own probabilities for these sounds, and whoever opens the file compares. The sounds
are formulas with a seed, so that a file carries no sound, and they pass the board's own spectrogram, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError, UntrustedModelError, first_line
from edge_runtime.interpreters import Interpreter, engine_of
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings

Waveform = NDArray[np.float64]
"""``[shape=(n,)], float64``"""

VERSION = 1
"""Of the sounds: files of another version cannot be compared."""

TOLERANCES = {"float32": 1e-3, "float16": 1e-2, "dynamic": 0.03, "int8": 0.03}
"""Highest difference of a probability from what the exporter computed, by recipe. A right engine differs by the order
of its sums: 1e-6 in float32; LiteRT in 8 bits by single roundings, at most 0.009 between x86-64 and emulated ARM."""

ONNX_8_BIT = 0.1
"""The same for 8 bits in ONNX: its libraries add products of 8 bits in other ways on other processors, and differ by up
to 0.05 between x86-64 and emulated ARM."""

_SUM_TOLERANCE = 1e-2
"""Probabilities sum to 1 but for rounding."""

_LONGEST = 100_000
"""Samples that are computed of a sound, two seconds at most rates; longer windows repeat them."""


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


def golden_window(name: str, settings: SpectrogramSettings) -> Samples:
    """One of the sounds.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    settings : SpectrogramSettings
        Its rate and window length are used.

    Returns
    -------
    samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
    """
    make, level = _SOUNDS[name]
    sound = make(np.arange(min(settings.window_samples, _LONGEST)) / settings.sample_rate)
    sound *= level / max(float(np.abs(sound).max()), 1e-12)
    return np.resize(sound.astype(np.float32), settings.window_samples)


def golden_document(
    form: str,
    recipe: str,
    found: Mapping[str, Sequence[float]],
    keras: Mapping[str, Sequence[float]],
    other_engines: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> dict[str, Any]:
    """What a model card keeps of the golden windows.

    Parameters
    ----------
    form, recipe : str
        ``tflite`` or ``onnx``, and the name of the recipe: they set the tolerance.
    found, keras : mapping of str to sequence of float
        Probabilities of each window by the file and by Keras.
    other_engines : mapping of str to such mappings, optional
        By the file in each other engine, which rounds in 8 bits at other places.

    Raises
    ------
    TmgcError
        One is not finite.
    """
    others = other_engines or {}
    every = [found, keras, *others.values()]
    if not np.isfinite([values for each in every for values in each.values()]).all():
        raise TmgcError("a model's probabilities must be finite: those of its golden windows are not. Train it again")
    return {
        "version": VERSION,
        "tolerance": ONNX_8_BIT if form == "onnx" and recipe in ("dynamic", "int8") else TOLERANCES[recipe],
        "probabilities": _rounded(found),
        "keras": _rounded(keras),
        "other_engines": {engine: _rounded(each) for engine, each in others.items()},
    }


def _rounded(probabilities: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {window: [round(float(value), 6) for value in values] for window, values in probabilities.items()}


def predict_golden(
    interpreter: Interpreter, names: Iterable[str], beat: Callable[[], object] = lambda: None
) -> dict[str, tuple[float, ...]]:
    """The probabilities of golden windows by name, without temperature scaling; ``beat`` is called before each."""
    card = interpreter.card
    spectrogram = Spectrogram(card.spectrogram, card.colormap_array)
    found = {}
    for name in names:
        beat()
        samples = golden_window(name, card.spectrogram)
        window = samples if card.input_kind == "waveform" else spectrogram.image(samples)
        found[name] = tuple(map(float, interpreter.invoke(window)))
    return found


def has_golden(card: ModelCard) -> bool:
    """Whether a file has golden windows of this version: without them it cannot be verified."""
    golden = card.export.get("golden")
    return isinstance(golden, dict) and golden.get("version") == VERSION


def check_golden(interpreter: Interpreter, beat: Callable[[], object] = lambda: None) -> list[GoldenResult]:
    """Compute the golden windows of a model's card again.

    Parameters
    ----------
    interpreter : Interpreter
    beat : callable
        Called before each window.

    Returns
    -------
    results : list of GoldenResult
        Empty where the card has none, or those of another version: such a file cannot be verified.

    Raises
    ------
    TmgcError
        The card's are malformed.
    """
    if "golden" not in interpreter.card.export:
        return []
    try:
        golden = interpreter.card.export["golden"]
        if type(golden["version"]) is not int:
            raise ValueError("a version is a whole number")
        if golden["version"] != VERSION:
            return []
        tolerance = _numbers([golden["tolerance"]], highest=ONNX_8_BIT)[0]
        by_this_engine = golden.get("other_engines", {}).get(engine_of(interpreter), golden["probabilities"])
        expected = {name: _numbers(values, highest=1.0) for name, values in by_this_engine.items()}
        if not expected or not set(expected) <= set(NAMES):
            raise ValueError("other windows")
        if any(len(values) != len(interpreter.card.genres) for values in expected.values()):
            raise ValueError("another number of genres")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = first_line(error, longest=80)
        raise TmgcError(f"a model card's golden windows are malformed ({reason}): export the model again") from error
    found = predict_golden(interpreter, expected, beat)
    return [GoldenResult(name, values, found[name], tolerance) for name, values in expected.items()]


def _numbers(values: Any, *, highest: float) -> tuple[float, ...]:
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        raise TypeError("no list of numbers")
    if not all(0 <= value <= highest for value in values):
        raise ValueError("a number is out of range")
    return tuple(map(float, values))


def first_failure(results: Iterable[GoldenResult], runtime: str) -> str:
    """The first failure in one line; empty where there is none."""
    return next((result.failure(runtime) for result in results if not result.passed), "")


def require_golden(interpreter: Interpreter, beat: Callable[[], object] = lambda: None) -> list[GoldenResult]:
    """The results of :func:`check_golden`, all of them passed.

    Raises
    ------
    UntrustedModelError
        One has not: the file computes something else here than on the machine of its exporter.
    TmgcError
        As of :func:`check_golden`.
    """
    results = check_golden(interpreter, beat)
    if failure := first_failure(results, interpreter.runtime):
        raise UntrustedModelError(
            f"a model must compute here what it did when it was exported: {interpreter.path} does not ({failure}). "
            "Update the interpreter, take another export of the model, or, at your own risk, tmgc-listen --trust-anyway"
        )
    return results


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

NAMES = tuple(_SOUNDS)
"""Of the sounds."""
