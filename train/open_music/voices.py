"""Synthesised voices: eSpeak NG, speaking in rhythm (rap), or singing a melody by way of a vocoder."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import soundfile

from train.open_music.accompaniment import Piece
from train.open_music.programs import Program
from train.open_music.sound import SAMPLE_RATE

_WORDS = {
    "en": (
        "night light fire road city heart money street dream water summer river baby never always tonight together "
        "running falling hold take make come stay move break shake time line mine fine day way say play down town "
        "sound ground love above high sky fly why rain pain train again alone phone stone gold cold told world girl"
    ),
    "tr": (
        "gece ışık ateş yol şehir kalp para sokak rüya su yaz nehir canım asla daima bugün beraber koşar düşer tut al "
        "gel kal dur git bak zaman benim senin güzel gün söyle oyna aşağı ses toprak sevda yüksek gök uç niçin yağmur "
        "acı tren yine yalnız taş altın soğuk dünya kız yar aman gönül dağlar deniz rüzgar yıldız ay kara göz"
    ),
    "de": "nacht licht feuer straße stadt herz geld traum wasser sommer fluss niemals immer heute komm bleib zeit",
    "es": "noche luz fuego calle ciudad corazón dinero sueño agua verano río nunca siempre vida amor cielo tierra",
    "fr": "nuit lumière feu route ville coeur argent rêve eau été jamais toujours reste viens monde ciel amour",
}
"""Words of no song, by language of eSpeak NG; a verse is a random row of them."""

_VARIANTS = ("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f4")
"""Voices of eSpeak NG: m are male, f female."""

_N_FFT, _HOP = 1024, 256
_LIFTER = 40
"""Cepstral coefficients that make a spectral envelope: less would blur the formants, more would keep the pitch."""


@dataclass
class Speaker:
    """A voice of eSpeak NG that speaks single words.

    Parameters
    ----------
    espeak : Program
        ``espeak-ng``
    language : str
    variant : str
    pitch : int in [0, 99]
    words_per_minute : int
    """

    espeak: Program
    language: str
    variant: str
    pitch: int
    words_per_minute: int
    _spoken: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def random(cls, espeak: Program, rng: np.random.Generator, words_per_minute: int) -> Speaker:
        """A random voice: English for half of the pieces, Turkish for a quarter."""
        language = str(rng.choice(["en", "en", "en", "en", "tr", "tr", "de", "es", "fr"]))
        return cls(espeak, language, str(rng.choice(_VARIANTS)), int(rng.integers(25, 65)), words_per_minute)

    @property
    def female(self) -> bool:
        """Whether it sounds like a woman."""
        return self.variant.startswith("f")

    def words(self, count: int, rng: np.random.Generator) -> list[str]:
        """Random words of its language."""
        known = _WORDS[self.language].split()
        return [known[index] for index in rng.integers(len(known), size=count)]

    def say(self, word: str) -> np.ndarray:
        """Speak a word.

        Returns
        -------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1], SAMPLE_RATE
            Without silence around it.
        """
        if word not in self._spoken:
            voice, speed = f"{self.language}+{self.variant}", str(self.words_per_minute)
            options = ("--stdout", "-v", voice, "-p", str(self.pitch), "-s", speed)
            wave = self.espeak.run(*options, word)
            samples, rate = soundfile.read(io.BytesIO(wave), dtype="float32")
            self._spoken[word] = _trimmed(_resampled(samples, rate))
        return self._spoken[word]


def _resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    import soxr

    resampled: np.ndarray = soxr.resample(samples, rate, SAMPLE_RATE)
    return resampled


def _trimmed(samples: np.ndarray) -> np.ndarray:
    heard = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max(initial=0.0))
    return samples[heard[0] : heard[-1] + 1] if len(heard) else samples[:1]


def rap(piece: Piece, espeak: Program, rng: np.random.Generator) -> np.ndarray:
    """A verse in the rhythm of a piece: words on eighths and sixteenths, a breath every two bars.

    Returns
    -------
    samples : np.ndarray [shape=(n,)], float32, SAMPLE_RATE
        As long as the piece.
    """
    speaker = Speaker.random(espeak, rng, int(rng.integers(190, 300)))
    track = _silence(piece)
    step = 0.5 if piece.tempo < 115 else 1.0
    hook = speaker.words(12, rng)
    for bar in range(piece.bars):
        count = int(piece.beats_per_bar / step)
        words = hook[: count + 1] if bar % 8 >= 6 else speaker.words(count + 1, rng)
        last = count - 2 if bar % 2 else count
        for index in range(last):
            if rng.random() < 0.12:
                continue
            start = (
                bar * piece.beats_per_bar + index * step + 0.25 * step * (rng.random() < 0.15)
            ) * piece.beat_seconds
            _place(track, speaker.say(words[index]), start, 1.25 * step * piece.beat_seconds)
    return _levelled(track)


def sing(piece: Piece, espeak: Program, rng: np.random.Generator) -> np.ndarray:
    """The melody of a piece, sung: a word a note.

    Returns
    -------
    samples : np.ndarray [shape=(n,)], float32, SAMPLE_RATE
        As long as the piece.
    """
    speaker = Speaker.random(espeak, rng, int(rng.integers(110, 170)))
    octave = 0 if speaker.female else -12
    words = speaker.words(64, rng)
    vibrato, singers = float(rng.uniform(10, 45)), int(rng.choice([1, 1, 2]))
    rough = float(rng.uniform(0.0, 0.5)) if piece.family in ("metal", "punk", "rock", "blues") else 0.0
    track = _silence(piece)
    for index, (start, length, pitch) in enumerate(piece.melody):
        word = speaker.say(words[index % len(words)])
        seconds = 0.95 * length * piece.beat_seconds
        hz = 440 * 2 ** ((pitch + octave - 69) / 12)
        for _ in range(singers):
            tuned = hz * 2 ** (rng.normal(0, 8) / 1200)
            note = vocode(word, max(seconds, 0.15), tuned, vibrato_cents=vibrato, rough=rough, rng=rng)
            _place(track, note, start * piece.beat_seconds + abs(rng.normal(0, 0.008)), 10.0)
    return _levelled(track)


def vocode(
    word: np.ndarray, seconds: float, hz: float, *, vibrato_cents: float, rough: float, rng: np.random.Generator
) -> np.ndarray:
    """Give a word another length and pitch: its spectral envelopes, stretched in time, filter a sawtooth and noise.

    Parameters
    ----------
    word : np.ndarray [shape=(n,)], float32 in [-1, 1], SAMPLE_RATE
    seconds : float > 0
    hz : float > 0
        Fundamental frequency.
    vibrato_cents : float >= 0
    rough : float >= 0
        Noise and unsteadiness: 0 is a clear voice.
    rng : np.random.Generator

    Returns
    -------
    samples : np.ndarray [shape=(m,)], float32 in [-1, 1], SAMPLE_RATE
    """
    from scipy.signal import istft, stft

    _, _, speech = stft(np.pad(word, _N_FFT // 2), nperseg=_N_FFT, noverlap=_N_FFT - _HOP)
    frames = max(4, round(seconds * SAMPLE_RATE / _HOP))
    _, _, carrier = stft(_carrier(frames * _HOP, hz, vibrato_cents, rough, rng), nperseg=_N_FFT, noverlap=_N_FFT - _HOP)
    envelope = _envelope(np.abs(speech))
    places = np.linspace(0, envelope.shape[1] - 1, carrier.shape[1])
    below = places.astype(int)
    part = places - below
    stretched = (1 - part) * envelope[:, below] + part * envelope[:, np.minimum(below + 1, envelope.shape[1] - 1)]
    _, samples = istft(carrier * stretched, nperseg=_N_FFT, noverlap=_N_FFT - _HOP)
    fade = np.minimum(1, np.minimum(np.arange(len(samples)), np.arange(len(samples))[::-1]) / 600)
    sung: np.ndarray = (samples * fade / max(float(np.abs(samples).max()), 1e-6)).astype(np.float32)
    return sung


def _envelope(magnitude: np.ndarray) -> np.ndarray:
    """Smooth spectra along frequency by their first cepstral coefficients."""
    cepstrum = np.fft.irfft(np.log(magnitude + 1e-6), axis=0)
    cepstrum[_LIFTER:-_LIFTER] = 0
    smooth: np.ndarray = np.exp(np.fft.rfft(cepstrum, axis=0).real)
    return smooth


def _carrier(length: int, hz: float, vibrato_cents: float, rough: float, rng: np.random.Generator) -> np.ndarray:
    """A whitened sawtooth with vibrato, a glide into the note, and breath."""
    seconds = np.arange(length) / SAMPLE_RATE
    depth = vibrato_cents * np.clip((seconds - 0.2) / 0.3, 0, 1)
    cents = depth * np.sin(2 * np.pi * rng.uniform(4.8, 6.2) * seconds) - 120 * np.exp(-seconds / 0.04)
    cents += rough * 60 * np.interp(seconds, seconds[::400], rng.normal(size=len(seconds[::400])))
    phase = np.cumsum(hz * 2 ** (cents / 1200)) / SAMPLE_RATE
    pulses = np.diff(np.floor(phase), prepend=0.0)
    carrier: np.ndarray = pulses * np.sqrt(SAMPLE_RATE / hz) + (0.12 + rough) * rng.normal(size=length)
    return carrier


def _silence(piece: Piece) -> np.ndarray:
    beats = piece.bars * piece.beats_per_bar
    return np.zeros(round(beats * piece.beat_seconds * SAMPLE_RATE), np.float32)


def _place(track: np.ndarray, samples: np.ndarray, start_seconds: float, longest_seconds: float) -> None:
    first = round(start_seconds * SAMPLE_RATE)
    part = samples[: min(len(samples), round(longest_seconds * SAMPLE_RATE), max(0, len(track) - first))]
    track[first : first + len(part)] += part


def _levelled(track: np.ndarray) -> np.ndarray:
    levelled: np.ndarray = track / max(float(np.abs(track).max()), 1e-6)
    return levelled
