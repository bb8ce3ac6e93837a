"""Pitched tones: plucked strings, and sustained lines from wavetables (bowed strings, reeds, flutes, synthesisers)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.synthesis.dsp import (
    CONTROL_STEP,
    SAMPLE_RATE,
    TABLE_SIZE,
    Canvas,
    Curve,
    Notes,
    Sound,
    Tone,
    coloured_noise,
    fast_length,
    from_db,
    level,
    place,
    wavetable,
)


@dataclass(frozen=True)
class Pluck:
    """A plucked string instrument: additive synthesis with a decay for each harmonic."""

    decay_s: float
    """Time constant of the fundamental, s."""
    damping: float
    """Loss of the harmonics: the k-th decays faster than the fundamental by a factor of 1 + damping * k**2."""
    brightness_db: float
    """Slope of the excitation, dB per octave; 0 is a hard plectrum, -6 a finger."""
    position: float = 0.15
    """Where the string is plucked, as a fraction of its length: harmonics with a node there are weak."""
    courses: int = 1
    """Strings per note, slightly detuned."""
    strum_s: float = 0.0
    """Time between the voices of a chord, s."""
    tone: Tone = Tone()
    """The body."""

    def render(self, notes: Notes, canvas: Canvas, rng: np.random.Generator) -> Sound:
        """Synthesise the notes as a track of the length of the song. Each distinct pitch is rendered once."""
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
        """All periods of a note in order, each of ``period`` samples, until it has decayed by 26 dB."""
        harmonic = np.arange(1.0, int(20_000 / hz) + 1)
        count = int(np.ceil(3.0 * self.decay_s * hz)) + 1
        loss = (1.0 + self.damping * harmonic**2) / (self.decay_s * hz)
        left = np.exp(-np.arange(count, dtype=np.float32)[:, None] * loss.astype(np.float32))
        spectra = np.zeros((count, period // 2 + 1), dtype=np.complex64)
        spectra[:, 1 : len(harmonic) + 1] = self._excitation(harmonic, hz, rng) * left
        return np.fft.irfft(spectra, period).reshape(-1).astype(np.float64)

    def _excitation(self, harmonic: Curve, hz: float, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Harmonics of the first period: a burst of noise, filtered by the position of the pluck and by the body."""
        amplitude = harmonic ** (self.brightness_db / 6.02) * np.abs(np.sin(np.pi * harmonic * self.position))
        amplitude *= self.tone.gain_at(harmonic * hz)
        burst: NDArray[np.complex64] = (amplitude * np.exp(2j * np.pi * rng.random(len(harmonic)))).astype(np.complex64)
        return burst


def _resampled(periods: Curve, *, step: float) -> Sound:
    """Resample a note to its exact pitch, since a period has a whole number of samples, and fade it out."""
    places = np.arange(0.0, len(periods) - 1.0, step)
    before = places.astype(np.int64)
    note = periods[before] + (places - before) * (periods[before + 1] - periods[before])
    fade = min(len(note), 1024)
    note[len(note) - fade :] *= np.linspace(1.0, 0.0, fade)
    return (note / max(float(np.abs(note).max()), 1e-9)).astype(np.float32)


_TABLE_SHIFT = np.uint32(32 - (TABLE_SIZE - 1).bit_length())
"""From a phase in 2**-32 cycles to a position in a wavetable."""
BREATH_SECONDS = 2.0
"""Breath noise is repeated after this time, which is inaudible and saves time."""


@dataclass(frozen=True)
class Gesture:
    """How a note begins, moves and ends."""

    attack_s: float = 0.02
    """Attack time, s."""
    decay_s: float = 60.0
    """Time constant of the decay while the note is held, s; a minute is practically none."""
    gate: float = 0.95
    """Fraction of the time to the next note for which the note is held."""
    slide_s: float = 0.0
    """Time of the glide from the previous note, s."""
    vibrato_hz: float = 5.5
    """Rate of the vibrato, Hz."""
    vibrato_cents: float = 0.0
    """Depth of the vibrato, cents."""
    detune_cents: float = 4.0
    """Standard deviation of a player's tuning, cents."""


@dataclass(frozen=True)
class Line:
    """An instrument with sustained notes, played as one continuous line: wavetable synthesis."""

    slope_db: float
    """Slope of the harmonics, dB per octave; -6 is a sawtooth."""
    gesture: Gesture = Gesture()
    """Envelope and pitch of its notes."""
    even_db: float = 0.0
    """Level of the even harmonics relative to the odd ones, dB."""
    players: int = 1
    """Players in unison, with different tuning and vibrato."""
    breath_db: float | None = None
    """Level of the breath or bow noise relative to the tone, dB; None for no noise."""
    breath: Tone = Tone(low_hz=1500.0, high_hz=9000.0)
    """Colour of that noise."""
    drive: float = 0.0
    """Gain of the sum of all voices before tanh distortion; 0 is clean."""
    tone: Tone = Tone()
    """The body, or the cabinet after the distortion."""

    def render(self, notes: Notes, canvas: Canvas, rng: np.random.Generator) -> Sound:
        """Synthesise the notes as a track of the length of the song."""
        track = np.zeros(canvas.samples, dtype=np.float32)
        for voice in range(notes.voices):
            tables = self._tables(notes.pitch[:, voice])
            for _ in range(self.players):
                sing(track, tables, notes, glide(notes, voice, self.gesture, canvas, rng))
        envelope = canvas.upsample(loudness(notes, self.gesture, canvas))
        track *= envelope
        if self.drive > 0.0:
            driven = np.tanh(track * np.float32(self.drive / notes.voices))
            track = canvas.sound(canvas.spectrum(driven) * self.tone.gain(canvas.fft_length))
        if self.breath_db is not None:
            air = coloured_noise(round(BREATH_SECONDS * SAMPLE_RATE), self.breath, rng)
            track += np.resize(air, canvas.samples) * envelope * np.float32(level(track) * from_db(self.breath_db))
        return track

    def _tables(self, pitch: Curve) -> list[Sound]:
        """One period of each note, with the body unless there is distortion: the cabinet comes after it."""
        tone = Tone() if self.drive > 0.0 else self.tone
        tables = {octaves: self._table(2.0**octaves, tone) for octaves in set(pitch.tolist())}
        return [tables[octaves] for octaves in pitch.tolist()]

    def _table(self, hz: float, tone: Tone) -> Sound:
        harmonic = harmonics(hz)
        amplitude = harmonic ** (self.slope_db / 6.02) * tone.gain_at(harmonic * hz)
        return wavetable(np.where(harmonic % 2 == 0, amplitude * from_db(self.even_db), amplitude))


def harmonics(hz: float) -> Curve:
    """Numbers of the harmonics below 19 kHz, so that vibrato does not alias."""
    return np.arange(1.0, min(200, max(2, int(19_000 / hz))) + 1)


def sing(track: Sound, tables: list[Sound], notes: Notes, positions: NDArray[np.intp]) -> None:
    """Add a line to a track: each note reads its wavetable at the positions of a continuous phase."""
    edges = np.clip(np.rint(notes.start * SAMPLE_RATE), 0, len(track)).astype(np.int64)
    edges = np.append(edges, len(track))
    for table, first, last in zip(tables, edges[:-1], edges[1:], strict=True):
        track[first:last] += table.take(positions[first:last])


def note_numbers(notes: Notes, canvas: Canvas) -> NDArray[np.intp]:
    """Index of the note at each control point."""
    return np.maximum(np.searchsorted(notes.start, canvas.control_times, side="right") - 1, 0)


def loudness(notes: Notes, gesture: Gesture, canvas: Canvas) -> Curve:
    """Loudness of a line at the control points: attack, decay and release of every note; in [0, 1]."""
    number = note_numbers(notes, canvas)
    since = canvas.control_times - notes.start[number]
    left = notes.length[number] * gesture.gate - since
    rise = np.clip(since / gesture.attack_s, 0.0, 1.0)
    fall = np.clip(left / 0.03 + 1.0, 0.0, 1.0)
    envelope: Curve = notes.gain[number] * rise * fall * np.exp(-np.maximum(since, 0.0) / gesture.decay_s)
    return envelope


def glide(notes: Notes, voice: int, gesture: Gesture, canvas: Canvas, rng: np.random.Generator) -> NDArray[np.intp]:
    """Position in a wavetable at every sample of one player's line, with glides, vibrato and detuning.

    The phase is counted in 2**-32 cycles and wraps around, so that it is exact in a song of any length.
    """
    number = note_numbers(notes, canvas)
    since = canvas.control_times - notes.start[number]
    pitch = notes.pitch[:, voice]
    way = np.clip(since / gesture.slide_s, 0.0, 1.0) if gesture.slide_s > 0.0 else np.ones(len(number))
    before = pitch[np.maximum(number - 1, 0)]
    octaves = before + (pitch[number] - before) * way * way * (3.0 - 2.0 * way)
    rate = gesture.vibrato_hz * rng.uniform(0.9, 1.1)
    # The vibrato begins after the onset of a note.
    depth = gesture.vibrato_cents / 1200.0 * np.clip(since / 0.25, 0.0, 1.0)
    octaves += depth * np.sin(2.0 * np.pi * (rate * canvas.control_times + rng.random()))
    octaves += rng.normal(0.0, gesture.detune_cents / 1200.0)
    increment: NDArray[np.uint32] = np.rint(2.0**octaves / SAMPLE_RATE * 2.0**32).astype(np.uint32)
    stretch = increment * np.uint32(CONTROL_STEP)
    # Each control step begins where the previous one ends.
    begin = np.cumsum(stretch, dtype=np.uint32) - stretch
    phase: NDArray[np.uint32] = np.multiply.outer(increment, np.arange(CONTROL_STEP, dtype=np.uint32))
    phase += begin[:, None]
    positions: NDArray[np.intp] = (phase.reshape(-1)[: canvas.samples] >> _TABLE_SHIFT).astype(np.intp)
    return positions
