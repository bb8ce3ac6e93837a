"""What an export is compared with Keras on: windows of held-out songs, and some sounds that are hard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from edge_runtime.windows import hop_samples
from export.tolerances import MOST_PARITY_WINDOWS, PARITY_WINDOWS
from train.corpus import Clip, Corpus

HOPS_SECONDS = (2.0, 1.0, 0.5, 0.25, 0.125)
"""Hops to try: the longest that gives enough windows overlaps least."""


@dataclass(frozen=True)
class ParityPictures:
    """Windows of one split's songs as the network sees them."""

    split: str
    hop_seconds: float
    pictures: NDArray[np.uint8]
    """``[shape=(n_windows, image_height, image_width, 3)]``"""
    labels: NDArray[np.int64]
    """Index of each window's genre, ``[shape=(n_windows,)]``."""
    clips: tuple[Clip, ...]
    """The clip that each window comes from."""
    sounds: NDArray[np.float32]
    """The windows before they are drawn, ``[shape=(n_windows, window_samples)], float32 in [-1, 1]``; of none of them
    where nobody asked for it."""

    @property
    def clip_count(self) -> int:
        """Different clips: windows of one clip overlap."""
        return len({clip.name for clip in self.clips})

    @property
    def song_count(self) -> int:
        """Different songs."""
        return len({clip.song for clip in self.clips})


def parity_pictures(corpus: Corpus, split: str, *, with_sounds: bool = False) -> ParityPictures:
    """At least 500 windows of a split's songs, or all that there are.

    Parameters
    ----------
    corpus : Corpus
    split : str
        ``validation`` or ``test``.
    with_sounds : bool
        Keep the sounds as well, which take more memory than their pictures.

    Raises
    ------
    TmgcError
        The split has no clip as long as a window.
    """
    counts = {clip.name: _samples_of(corpus, clip) for clip in corpus.of(split)}
    hop = next((hop for hop in HOPS_SECONDS if _windows(counts, corpus, hop) >= PARITY_WINDOWS), HOPS_SECONDS[-1])
    clips = [clip for clip in corpus.of(split) if counts[clip.name] >= corpus.spectrogram.window_samples]
    if not clips:
        raise TmgcError(f"parity needs clips of the {split} split: {corpus.run.folder} has none. Prepare more songs")
    if len(clips) > MOST_PARITY_WINDOWS:
        clips = [clips[index] for index in np.linspace(0, len(clips) - 1, MOST_PARITY_WINDOWS).astype(int)]
    spectrogram = Spectrogram(corpus.spectrogram, corpus.palette)
    shown, sounds = [], []
    for clip, samples in corpus.windows(clips, hop_seconds=hop):
        shown.append((clip, spectrogram.image(samples)))
        if with_sounds:
            sounds.append(samples)
    return ParityPictures(
        split=split,
        hop_seconds=hop,
        pictures=np.stack([picture for _, picture in shown]),
        labels=corpus.labels([clip for clip, _ in shown]),
        clips=tuple(clip for clip, _ in shown),
        sounds=np.array(sounds, np.float32).reshape(len(sounds), corpus.spectrogram.window_samples),
    )


def hard_sounds(corpus: Corpus, split: str) -> dict[str, Samples]:
    """Sounds that no song of the corpus resembles, each a window long, by what they are."""
    settings = corpus.spectrogram
    _, music = next(corpus.windows(corpus.of(split), hop_seconds=settings.window_seconds))
    return {**_synthetic(settings), "clipped music": np.clip(music * np.float32(20.0), -1.0, 1.0)}


def _synthetic(settings: SpectrogramSettings) -> dict[str, Samples]:
    length = settings.window_samples
    seconds = np.arange(length) / settings.sample_rate
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, length)
    return {
        "silence": np.zeros(length, np.float32),
        "full-scale noise": noise.astype(np.float32),
        "one tone": np.sin(2.0 * np.pi * 440.0 * seconds).astype(np.float32),
    }


def _samples_of(corpus: Corpus, clip: Clip) -> int:
    """Samples of the clip's sound at the model's rate, from the file's header."""
    import soundfile

    info: Any = soundfile.info(clip.sound(corpus.run))
    return int(info.frames * corpus.spectrogram.sample_rate // info.samplerate)


def _windows(counts: dict[str, int], corpus: Corpus, hop_seconds: float) -> int:
    settings = corpus.spectrogram
    hop = hop_samples(settings, hop_seconds)
    return sum(
        1 + (count - settings.window_samples) // hop for count in counts.values() if count >= settings.window_samples
    )
