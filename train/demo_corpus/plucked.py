"""Plucked and struck strings: Karplus-Strong in closed form.

The loop of Karplus and Strong (1983) multiplies every harmonic by the same factor once a period, so period n of a note
is the first one with each harmonic scaled by its factor to the power n. All periods come from one batched inverse FFT
instead of a loop over samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.demo_corpus.dsp import SAMPLE_RATE, Canvas, Curve, Sound, Tone, fast_length, place
from train.demo_corpus.parts import Notes


@dataclass(frozen=True)
class Pluck:
    """A string instrument whose notes die away by themselves."""

    decay_s: float
    """Time constant of the fundamental, s."""
    damping: float
    """Extra loss of the harmonics: the k-th decays faster by a factor of 1 + damping * k**2."""
    brightness_db: float
    """Slope of the excitation, dB an octave; 0 is a hard plectrum, -6 a finger."""
    position: float = 0.15
    """Where the string is plucked, as a part of its length: harmonics with a node there are weak."""
    courses: int = 1
    """Strings to a note, slightly out of tune with each other."""
    strum_s: float = 0.0
    """Time from one voice of a chord to the next, s."""
    tone: Tone = Tone()
    """The body."""

    def render(self, notes: Notes, canvas: Canvas, rng: np.random.Generator) -> Sound:
        """The notes as a track as long as the song. Each distinct pitch is rendered once."""
        track = np.zeros(canvas.samples, dtype=np.float32)
        rendered: dict[float, Sound] = {}
        for start, pitches, gain in zip(notes.start, notes.pitch, notes.gain, strict=True):
            if gain == 0.0:
                continue
            for voice, pitch in enumerate(pitches.tolist()):
                if pitch not in rendered:
                    rendered[pitch] = self._note(2.0**pitch, rng)
                place(track, rendered[pitch], round((start + voice * self.strum_s) * SAMPLE_RATE), gain)
        return track

    def _note(self, hz: float, rng: np.random.Generator) -> Sound:
        period = fast_length(int(np.ceil(SAMPLE_RATE / hz)))
        periods = self._periods(hz, period, rng)
        detune = 2.0 ** (rng.normal(0.0, 3.0, self.courses) / 1200.0)
        strings = [_resampled(periods, step=period * hz * ratio / SAMPLE_RATE) for ratio in detune.tolist()]
        note = np.zeros(max(len(string) for string in strings), dtype=np.float32)
        for string in strings:
            note[: len(string)] += string
        return note

    def _periods(self, hz: float, period: int, rng: np.random.Generator) -> Curve:
        """All periods of a note one after the other, each of ``period`` samples, until it has died away by 26 dB."""
        harmonic = np.arange(1.0, int(20_000 / hz) + 1)
        count = int(np.ceil(3.0 * self.decay_s * hz)) + 1
        loss = (1.0 + self.damping * harmonic**2) / (self.decay_s * hz)
        left = np.exp(-np.arange(count, dtype=np.float32)[:, None] * loss.astype(np.float32))
        spectra = np.zeros((count, period // 2 + 1), dtype=np.complex64)
        spectra[:, 1 : len(harmonic) + 1] = self._excitation(harmonic, hz, rng) * left
        return np.fft.irfft(spectra, period).reshape(-1).astype(np.float64)

    def _excitation(self, harmonic: Curve, hz: float, rng: np.random.Generator) -> NDArray[np.complex64]:
        """The first period's harmonics: a burst of noise, combed by the place of the pluck, in the body."""
        amplitude = harmonic ** (self.brightness_db / 6.02) * np.abs(np.sin(np.pi * harmonic * self.position))
        amplitude *= self.tone.gain_at(harmonic * hz)
        burst: NDArray[np.complex64] = (amplitude * np.exp(2j * np.pi * rng.random(len(harmonic)))).astype(np.complex64)
        return burst


def _resampled(periods: Curve, *, step: float) -> Sound:
    """The note at the step that gives its exact pitch, as a period has a whole number of samples; faded out."""
    places = np.arange(0.0, len(periods) - 1.0, step)
    before = places.astype(np.int64)
    note = periods[before] + (places - before) * (periods[before + 1] - periods[before])
    fade = min(len(note), 1024)
    note[len(note) - fade :] *= np.linspace(1.0, 0.0, fade)
    return (note / max(float(np.abs(note).max()), 1e-9)).astype(np.float32)
