"""A simple source-filter voice, sung or spoken: a buzz filtered by the formants of Turkish vowels, and consonants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from train.synthesis.dsp import SAMPLE_RATE, Canvas, Notes, Sound, Tone, coloured_noise, from_db, place, wavetable
from train.synthesis.tones import Gesture, glide, harmonics, loudness, sing

VOWELS: dict[str, tuple[float, float, float]] = {
    "a": (720.0, 1250.0, 2500.0),
    "e": (530.0, 1850.0, 2550.0),
    "ı": (400.0, 1450.0, 2400.0),
    "i": (310.0, 2250.0, 3000.0),
    "o": (510.0, 920.0, 2400.0),
    "ö": (460.0, 1550.0, 2300.0),
    "u": (350.0, 850.0, 2300.0),
    "ü": (320.0, 1750.0, 2250.0),
}
"""The first three formants of a male speaker, Hz, rounded: enough to tell the vowels apart."""

_CONSONANTS = (
    (Tone(low_hz=4500.0, high_hz=11_000.0, order=3), 0.045),
    (Tone(low_hz=2200.0, high_hz=6000.0, order=3), 0.045),
    (Tone(low_hz=1500.0, high_hz=9000.0), 0.008),
    (Tone(low_hz=500.0, high_hz=2500.0), 0.010),
)
"""Spectral envelope and length in seconds of s, ş, t and k."""


@dataclass(frozen=True)
class Voice:
    """A voice: one vowel a note, with a consonant before it."""

    gesture: Gesture
    """Envelope and pitch of its notes."""
    formant_scale: float = 1.0
    """Factor on the formants: 1 is the male speaker of :data:`VOWELS`, 1.17 a female speaker."""
    slope_db: float = -8.0
    """Slope of the source spectrum, dB per octave."""
    consonant_db: float = -14.0
    """Level of the consonants relative to the peak of the vowels, dB."""
    vowels: int = 4
    """Number of different vowels in a song."""

    def render(self, notes: Notes, canvas: Canvas, rng: np.random.Generator) -> Sound:
        """Synthesise the notes as a track of the length of the song, one syllable per note."""
        vowels = rng.choice(sorted(VOWELS), size=self.vowels, replace=False)
        mouth = self.formant_scale * rng.uniform(0.92, 1.08)
        spoken = vowels[rng.integers(self.vowels, size=len(notes.start))].tolist()
        tables = [
            self._table(2.0**pitch, _mouth(vowel, mouth))
            for pitch, vowel in zip(notes.pitch[:, 0].tolist(), spoken, strict=True)
        ]
        track = np.zeros(canvas.samples, dtype=np.float32)
        sing(track, tables, notes, glide(notes, 0, self.gesture, canvas, rng))
        track *= canvas.upsample(loudness(notes, self.gesture, canvas))
        return track + self._consonants(notes, canvas, rng)

    def _table(self, hz: float, mouth: Tone) -> Sound:
        harmonic = harmonics(hz)
        return wavetable(harmonic ** (self.slope_db / 6.02) * mouth.gain_at(harmonic * hz))

    def _consonants(self, notes: Notes, canvas: Canvas, rng: np.random.Generator) -> Sound:
        track = np.zeros(canvas.samples, dtype=np.float32)
        sounds = [_consonant(tone, seconds, rng) for tone, seconds in _CONSONANTS]
        chosen = rng.integers(len(sounds), size=len(notes.start))
        for start, gain, number in zip(notes.start, notes.gain, chosen, strict=True):
            sound = sounds[number]
            # The middle of a consonant is where its vowel begins.
            place(track, sound, round(start * SAMPLE_RATE) - len(sound) // 2, gain * from_db(self.consonant_db))
        return track


def _mouth(vowel: str, scale: float) -> Tone:
    widths_and_heights = ((110.0, 22.0), (140.0, 20.0), (200.0, 18.0))
    formants = zip(VOWELS[vowel], widths_and_heights, strict=True)
    peaks = tuple((hz * scale, width, height) for hz, (width, height) in formants)
    return Tone(low_hz=90.0, high_hz=5500.0, peaks=peaks)


def _consonant(tone: Tone, seconds: float, rng: np.random.Generator) -> Sound:
    count = round(2.5 * seconds * SAMPLE_RATE)
    sound = coloured_noise(count, tone, rng) * np.hanning(count).astype(np.float32)
    return sound / np.float32(np.abs(sound).max())
