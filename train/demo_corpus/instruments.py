"""Parameters of all instruments of the demonstration songs, by name."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from train.synthesis.dsp import Canvas, Notes, Sound, Tone
from train.synthesis.percussion import Hit, Kit
from train.synthesis.tones import Gesture, Line, Pluck
from train.synthesis.voice import Voice


class Melodic(Protocol):
    """An instrument that plays notes."""

    def render(self, notes: Notes, canvas: Canvas, rng: np.random.Generator) -> Sound:
        """Synthesise the notes as a track of the length of the song."""
        ...


_GUITAR_CABINET = Tone(low_hz=90.0, high_hz=4800.0, order=4, peaks=((2400.0, 1800.0, 8.0), (450.0, 500.0, 4.0)))

MELODIC: dict[str, Melodic] = {
    "bağlama": Pluck(
        decay_s=0.45,
        damping=0.0012,
        brightness_db=-1.0,
        position=0.09,
        courses=2,
        strum_s=0.012,
        tone=Tone(low_hz=180.0, high_hz=9000.0, peaks=((420.0, 200.0, 8.0), (2900.0, 2200.0, 7.0))),
    ),
    "ud": Pluck(
        decay_s=0.5,
        damping=0.012,
        brightness_db=-5.0,
        position=0.22,
        courses=2,
        tone=Tone(low_hz=70.0, high_hz=3500.0, peaks=((180.0, 120.0, 7.0), (600.0, 500.0, 4.0))),
    ),
    "kanun": Pluck(
        decay_s=0.6,
        damping=0.004,
        brightness_db=-3.0,
        position=0.12,
        courses=3,
        tone=Tone(low_hz=250.0, high_hz=9000.0, peaks=((1500.0, 1500.0, 4.0),)),
    ),
    "tanbur": Pluck(
        decay_s=1.1,
        damping=0.02,
        brightness_db=-4.0,
        position=0.1,
        courses=2,
        tone=Tone(low_hz=80.0, high_hz=2600.0, peaks=((300.0, 200.0, 6.0),)),
    ),
    "upright bass": Pluck(
        decay_s=0.55,
        damping=0.03,
        brightness_db=-5.0,
        position=0.25,
        tone=Tone(low_hz=40.0, high_hz=1600.0, peaks=((110.0, 90.0, 6.0), (700.0, 500.0, 5.0))),
    ),
    "electric bass": Pluck(
        decay_s=0.7, damping=0.01, brightness_db=-4.0, position=0.12, tone=Tone(low_hz=40.0, high_hz=2500.0)
    ),
    "piano": Pluck(
        decay_s=0.6,
        damping=0.008,
        brightness_db=-4.0,
        position=0.125,
        courses=2,
        tone=Tone(low_hz=80.0, high_hz=6000.0),
    ),
    "acoustic guitar": Pluck(
        decay_s=0.4,
        damping=0.002,
        brightness_db=-1.5,
        position=0.13,
        courses=2,
        strum_s=0.009,
        tone=Tone(low_hz=150.0, high_hz=13_000.0, tilt_db=1.5),
    ),
    "ney": Line(
        slope_db=-13.0,
        even_db=-4.0,
        gesture=Gesture(attack_s=0.09, slide_s=0.12, vibrato_hz=4.8, vibrato_cents=22.0),
        breath_db=-7.0,
        breath=Tone(low_hz=900.0, high_hz=6500.0, order=1, peaks=((2300.0, 1500.0, 6.0),)),
        tone=Tone(low_hz=200.0, high_hz=6000.0),
    ),
    "kemençe": Line(
        slope_db=-7.0,
        gesture=Gesture(attack_s=0.05, slide_s=0.07, vibrato_hz=6.0, vibrato_cents=22.0),
        breath_db=-26.0,
        tone=Tone(low_hz=250.0, high_hz=5500.0, peaks=((900.0, 600.0, 7.0), (2600.0, 1200.0, 6.0))),
    ),
    "strings": Line(
        slope_db=-6.0,
        gesture=Gesture(attack_s=0.05, slide_s=0.13, vibrato_hz=6.2, vibrato_cents=48.0, detune_cents=9.0),
        players=3,
        breath_db=-24.0,
        tone=Tone(low_hz=250.0, high_hz=9000.0, peaks=((1200.0, 900.0, 5.0), (3200.0, 2000.0, 8.0))),
    ),
    "zurna": Line(
        slope_db=-3.0,
        gesture=Gesture(attack_s=0.015, slide_s=0.03, vibrato_hz=7.0, vibrato_cents=18.0),
        tone=Tone(low_hz=400.0, high_hz=5500.0, peaks=((1250.0, 600.0, 10.0), (2900.0, 900.0, 9.0))),
    ),
    "saxophone": Line(
        slope_db=-7.5,
        gesture=Gesture(attack_s=0.03, slide_s=0.035, vibrato_hz=5.2, vibrato_cents=20.0, gate=0.85),
        breath_db=-20.0,
        tone=Tone(low_hz=140.0, high_hz=5000.0, peaks=((600.0, 500.0, 7.0), (1500.0, 900.0, 6.0))),
    ),
    "power chords": Line(
        slope_db=-6.0,
        gesture=Gesture(attack_s=0.006, decay_s=2.5, gate=1.0),
        players=2,
        drive=5.0,
        tone=_GUITAR_CABINET,
    ),
    "buzzsaw guitar": Line(
        slope_db=-4.0,
        gesture=Gesture(attack_s=0.004, decay_s=0.35, gate=0.85, detune_cents=8.0),
        players=2,
        drive=14.0,
        breath_db=-20.0,
        breath=Tone(low_hz=1500.0, high_hz=8000.0),
        tone=Tone(low_hz=150.0, high_hz=8000.0, order=3, tilt_db=1.0, peaks=((3400.0, 2500.0, 7.0),)),
    ),
    "lead guitar": Line(
        slope_db=-5.0,
        gesture=Gesture(attack_s=0.008, slide_s=0.1, vibrato_hz=5.5, vibrato_cents=40.0),
        drive=6.0,
        tone=_GUITAR_CABINET,
    ),
    "saw arpeggio": Line(
        slope_db=-5.5,
        gesture=Gesture(attack_s=0.002, decay_s=0.07, gate=0.8, detune_cents=9.0),
        players=2,
        tone=Tone(low_hz=200.0, high_hz=11_000.0, peaks=((2500.0, 1200.0, 6.0),)),
    ),
    "pumping pad": Line(
        slope_db=-6.0,
        gesture=Gesture(attack_s=0.28, gate=0.97, detune_cents=12.0),
        players=2,
        tone=Tone(low_hz=200.0, high_hz=9000.0),
    ),
    "synth bass": Line(
        slope_db=-7.0, gesture=Gesture(attack_s=0.003, decay_s=0.2, gate=0.8), drive=3.0, tone=Tone(high_hz=1200.0)
    ),
    "sub bass": Line(
        slope_db=-18.0, gesture=Gesture(attack_s=0.006, decay_s=0.6, slide_s=0.05, gate=1.0), tone=Tone(high_hz=400.0)
    ),
    "bright pad": Line(
        slope_db=-7.0,
        gesture=Gesture(attack_s=0.06, gate=1.0, vibrato_cents=6.0, detune_cents=8.0),
        players=2,
        tone=Tone(low_hz=250.0, high_hz=7000.0, peaks=((1600.0, 1500.0, 4.0),)),
    ),
    "dark keys": Line(
        slope_db=-12.0,
        gesture=Gesture(attack_s=0.01, decay_s=0.6, vibrato_hz=4.0, vibrato_cents=14.0),
        tone=Tone(low_hz=120.0, high_hz=1800.0),
    ),
    "drone": Line(slope_db=-11.0, gesture=Gesture(attack_s=0.3, gate=1.0), players=2, tone=Tone(high_hz=1500.0)),
    "pop singer": Voice(
        gesture=Gesture(attack_s=0.03, slide_s=0.05, vibrato_hz=5.6, vibrato_cents=25.0), formant_scale=1.17
    ),
    "arabesk singer": Voice(
        gesture=Gesture(attack_s=0.03, slide_s=0.12, vibrato_hz=6.0, vibrato_cents=60.0),
        slope_db=-7.0,
        consonant_db=-24.0,
    ),
    "rapper": Voice(
        gesture=Gesture(attack_s=0.008, slide_s=0.08, gate=0.75),
        slope_db=-7.0,
        consonant_db=-5.0,
        vowels=5,
    ),
    "shouter": Voice(
        gesture=Gesture(attack_s=0.01, slide_s=0.06, gate=0.8), slope_db=-4.5, consonant_db=-12.0, formant_scale=1.05
    ),
}
"""Instruments that play notes."""

_ROCK_KICK = Hit(hz=62.0, drop=2.6, tone_s=0.09, noise_db=-22.0, noise_s=0.006)
_ROCK_SNARE = Hit(
    hz=190.0,
    drop=1.3,
    modes=(1.0, 1.6),
    tone_s=0.05,
    noise_db=-2.0,
    noise_s=0.09,
    colour=Tone(low_hz=900.0, high_hz=9000.0),
)
_RATTLE = Tone(low_hz=700.0, high_hz=5000.0)

KITS: dict[str, Kit] = {
    "darbuka": Kit(
        low=Hit(hz=88.0, drop=1.35, modes=(1.0, 1.6, 2.3), tone_s=0.13, noise_db=-22.0, noise_s=0.01),
        high=Hit(
            level_db=-2.0,
            hz=470.0,
            modes=(1.0, 1.51, 2.1, 2.9),
            tone_s=0.045,
            noise_db=-6.0,
            noise_s=0.018,
            colour=Tone(low_hz=2500.0, high_hz=12_000.0),
        ),
        light=Hit(
            level_db=-3.0,
            hz=560.0,
            modes=(1.0, 1.51, 2.1),
            tone_s=0.022,
            noise_db=-6.0,
            noise_s=0.012,
            colour=Tone(low_hz=3000.0, high_hz=13_000.0),
        ),
    ),
    "davul and spoons": Kit(
        low=Hit(hz=72.0, drop=1.5, modes=(1.0, 1.5, 2.0), tone_s=0.16, noise_db=-18.0, noise_s=0.015),
        high=Hit(
            level_db=-5.0,
            hz=310.0,
            modes=(1.0, 1.9),
            tone_s=0.02,
            noise_db=0.0,
            noise_s=0.012,
            colour=Tone(low_hz=1800.0, high_hz=7000.0),
        ),
        light=Hit(
            level_db=-4.0,
            hz=2350.0,
            modes=(1.0, 1.37, 1.9),
            tone_s=0.012,
            noise_db=-8.0,
            noise_s=0.006,
            colour=Tone(low_hz=2500.0, high_hz=9000.0),
            bursts=2,
        ),
    ),
    "kudüm": Kit(
        low=Hit(hz=120.0, drop=1.1, modes=(1.0, 1.6, 2.1), tone_s=0.12, noise_db=-26.0, noise_s=0.01),
        high=Hit(level_db=-2.0, hz=178.0, drop=1.1, modes=(1.0, 1.6, 2.1), tone_s=0.09, noise_db=-24.0, noise_s=0.01),
        light=Hit(level_db=-6.0, hz=178.0, modes=(1.0, 1.6), tone_s=0.05, noise_db=-24.0, noise_s=0.008),
    ),
    "bendir": Kit(
        low=Hit(
            hz=68.0,
            drop=1.15,
            modes=(1.0, 1.6, 2.14),
            tone_s=0.3,
            noise_db=-16.0,
            noise_s=0.12,
            colour=_RATTLE,
            bursts=4,
        ),
        high=Hit(
            level_db=-6.0,
            hz=150.0,
            modes=(1.0, 1.6),
            tone_s=0.12,
            noise_db=-9.0,
            noise_s=0.08,
            colour=_RATTLE,
            bursts=3,
        ),
        light=Hit(level_db=-12.0, hz=150.0, tone_s=0.06, noise_db=-9.0, noise_s=0.04, colour=_RATTLE, bursts=2),
    ),
    "rock kit": Kit(
        low=_ROCK_KICK,
        high=_ROCK_SNARE,
        light=Hit(level_db=-11.0, noise_db=0.0, noise_s=0.05, colour=Tone(low_hz=6500.0, high_hz=15_000.0)),
    ),
    "punk kit": Kit(
        low=Hit(hz=70.0, drop=2.2, tone_s=0.05, noise_db=-18.0, noise_s=0.006),
        high=Hit(
            hz=230.0, drop=1.2, tone_s=0.035, noise_db=1.0, noise_s=0.06, colour=Tone(low_hz=1200.0, high_hz=11_000.0)
        ),
        light=Hit(level_db=-8.0, noise_db=0.0, noise_s=0.13, colour=Tone(low_hz=4500.0, high_hz=16_000.0)),
    ),
    "pop kit": Kit(
        low=Hit(hz=58.0, drop=2.8, tone_s=0.1, noise_db=-24.0, noise_s=0.004),
        high=Hit(level_db=1.0, noise_db=0.0, noise_s=0.05, colour=Tone(low_hz=900.0, high_hz=5500.0), bursts=3),
        light=Hit(level_db=-10.0, noise_db=0.0, noise_s=0.02, colour=Tone(low_hz=7000.0, high_hz=17_000.0)),
    ),
    "jazz kit": Kit(
        low=Hit(level_db=-8.0, hz=75.0, drop=1.4, tone_s=0.07),
        high=Hit(level_db=-12.0, noise_db=0.0, noise_s=0.11, colour=Tone(low_hz=1500.0, high_hz=8000.0)),
        light=Hit(
            level_db=-9.0,
            hz=3600.0,
            modes=(1.0, 1.34, 1.71, 2.2, 2.83, 3.6),
            tone_s=0.09,
            noise_db=0.0,
            noise_s=0.16,
            colour=Tone(low_hz=4000.0, high_hz=14_000.0),
        ),
    ),
    "rap kit": Kit(
        low=Hit(hz=47.0, drop=3.0, tone_s=0.2, noise_db=-22.0, noise_s=0.004),
        high=Hit(
            level_db=-1.0,
            hz=210.0,
            drop=1.4,
            tone_s=0.05,
            noise_db=0.0,
            noise_s=0.07,
            colour=Tone(low_hz=1500.0, high_hz=8000.0),
        ),
        light=Hit(level_db=-11.0, noise_db=0.0, noise_s=0.018, colour=Tone(low_hz=8000.0, high_hz=18_000.0)),
    ),
    "house kit": Kit(
        low=Hit(level_db=2.0, hz=50.0, drop=4.5, tone_s=0.13, noise_db=-20.0, noise_s=0.004),
        high=Hit(level_db=-4.0, noise_db=0.0, noise_s=0.04, colour=Tone(low_hz=1000.0, high_hz=7000.0), bursts=2),
        light=Hit(level_db=-7.0, noise_db=0.0, noise_s=0.085, colour=Tone(low_hz=7500.0, high_hz=17_000.0)),
    ),
}
"""Instruments that play strokes."""
