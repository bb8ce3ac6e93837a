"""Percussion: each hit is a tone with falling pitch and several modes, and a burst of coloured noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from train.synthesis.dsp import SAMPLE_RATE, Canvas, Curve, Sound, Strokes, Tone, coloured_noise, from_db, place

VARIANTS = 2
"""Renderings of each hit in a song, since no two strokes of a drummer are equal."""


@dataclass(frozen=True)
class Hit:
    """One sound of a percussion instrument."""

    level_db: float = 0.0
    """Level relative to the other hits of the kit, dB."""
    hz: float = 0.0
    """Final pitch of the tone, Hz; 0 for no tone."""
    drop: float = 1.0
    """Pitch at the stroke, as a multiple of the final pitch."""
    modes: tuple[float, ...] = (1.0,)
    """Partials of the tone, as multiples of its pitch."""
    tone_s: float = 0.1
    """Time constant of the tone, s."""
    noise_db: float | None = None
    """Level of the noise relative to the tone, dB; None for no noise."""
    noise_s: float = 0.05
    """Time constant of the noise, s."""
    colour: Tone = Tone()
    """Colour of the noise."""
    bursts: int = 1
    """Bursts of noise, 11 ms apart: several hands, or a rattle."""

    def render(self, tuning: float, rng: np.random.Generator) -> Sound:
        """Synthesise the hit until it has decayed, with small random changes of pitch and length.

        Parameters
        ----------
        tuning : float > 0
            Factor on the pitch: the tuning of the whole kit.
        rng : np.random.Generator
        """
        spread = rng.uniform(0.97, 1.03)
        tone_s, noise_s = self.tone_s * spread, self.noise_s * spread
        longest = max(tone_s if self.hz else 0.0, noise_s if self.noise_db is not None else 0.0)
        time = np.arange(round(4.5 * longest * SAMPLE_RATE) + 1100) / SAMPLE_RATE
        sound = np.zeros(len(time))
        if self.hz:
            sound += self._tone(time, self.hz * tuning * rng.uniform(0.98, 1.02), tone_s)
        if self.noise_db is not None:
            sound += self._noise(time, noise_s, rng) * from_db(self.noise_db)
        return (sound * from_db(self.level_db)).astype(np.float32)

    def _tone(self, time: Curve, hz: float, tone_s: float) -> Curve:
        # The pitch falls within some 30 ms; its integral is the phase.
        fall_s = 0.03
        cycles = hz * (time + (self.drop - 1.0) * fall_s * (1.0 - np.exp(-time / fall_s)))
        partials = [
            np.sin(2.0 * np.pi * ratio * cycles) * np.exp(-time * ratio**0.5 / tone_s) / ratio**0.5
            for ratio in self.modes
        ]
        chord: Curve = np.sum(partials, axis=0) / len(self.modes) ** 0.5
        return chord

    def _noise(self, time: Curve, noise_s: float, rng: np.random.Generator) -> Curve:
        envelope = np.zeros(len(time))
        for burst in range(self.bursts):
            since = time - 0.011 * burst
            envelope += np.where(since >= 0.0, np.exp(-np.maximum(since, 0.0) / noise_s), 0.0)
        return coloured_noise(len(time), self.colour, rng) * envelope


@dataclass(frozen=True)
class Kit:
    """The three hits for the three rows of a metre."""

    low: Hit
    """Bass drum, düm."""
    high: Hit
    """Snare, tek."""
    light: Hit
    """Cymbal or filling stroke."""

    def render(self, strokes: Strokes, canvas: Canvas, rng: np.random.Generator) -> Sound:
        """Synthesise the strokes as a track of the length of the song."""
        tuning = rng.uniform(0.85, 1.15)
        sounds = [[hit.render(tuning, rng) for _ in range(VARIANTS)] for hit in (self.low, self.high, self.light)]
        track = np.zeros(canvas.samples, dtype=np.float32)
        variants = rng.integers(VARIANTS, size=len(strokes.start))
        positions = np.rint(strokes.start * SAMPLE_RATE).astype(np.int64)
        for at, hit, variant, gain in zip(positions, strokes.hit, variants, strokes.gain, strict=True):
            place(track, sounds[hit][variant], int(at), float(gain))
        return track
