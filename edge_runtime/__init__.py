"""Genre classification of audio streams and files with an exported model; all that a Raspberry Pi needs.

:func:`listen` classifies any source that yields blocks of samples (:class:`AudioFile`, :class:`Microphone`), window by
window. :class:`GenreClassifier` classifies single windows. Notices go to the logger ``tmgc``.

Examples
--------
>>> from edge_runtime import AudioFile, GenreClassifier, listen
>>> classifier = GenreClassifier.open("demo.int8.tflite")                                    # doctest: +SKIP
>>> with AudioFile("song.mp3", sample_rate=classifier.card.spectrogram.sample_rate) as song:  # doctest: +SKIP
...     for prediction in listen(song, classifier):
...         print(prediction.genre, prediction.confidence)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.audio_file import AudioFile, read_audio
    from edge_runtime.classifier import Classification, GenreClassifier
    from edge_runtime.errors import InvalidAnswerError, TmgcError, UntrustedModelError
    from edge_runtime.listener import ListenSettings, listen
    from edge_runtime.model_card import ModelCard
    from edge_runtime.predictions import Event, Prediction, Summarizer, Summary
    from edge_runtime.sources.microphone import Microphone
    from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings

__all__ = [
    "AudioFile",
    "Classification",
    "Event",
    "GenreClassifier",
    "InvalidAnswerError",
    "ListenSettings",
    "Microphone",
    "ModelCard",
    "Prediction",
    "Spectrogram",
    "SpectrogramSettings",
    "Summarizer",
    "Summary",
    "TmgcError",
    "UntrustedModelError",
    "listen",
    "read_audio",
]

_MODULES = {
    "Prediction": "predictions",
    "AudioFile": "audio_file",
    "Classification": "classifier",
    "Event": "predictions",
    "GenreClassifier": "classifier",
    "ListenSettings": "listener",
    "Microphone": "sources.microphone",
    "ModelCard": "model_card",
    "Spectrogram": "spectrogram",
    "SpectrogramSettings": "spectrogram",
    "Summarizer": "predictions",
    "Summary": "predictions",
    "InvalidAnswerError": "errors",
    "TmgcError": "errors",
    "UntrustedModelError": "errors",
    "listen": "listener",
    "read_audio": "audio_file",
}


def __getattr__(name: str) -> Any:
    """Import public names on demand: ``tmgc-listen --help`` needs none of them, nor numpy."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
