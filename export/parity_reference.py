"""The reference of a parity check: windows of a split, stress inputs, and Keras' predictions for both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.golden_windows import NAMES, golden_window
from edge_runtime.interpreters import ModelInput
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Colormap, Spectrogram, SpectrogramSettings
from edge_runtime.windowing import hop_samples
from export.calibration import spectrogram_images
from export.frontend import KerasModel
from export.parity import (
    MAX_PARITY_WINDOWS,
    PARITY_WINDOWS,
    ParityInputs,
    ParityReport,
    Probabilities,
    compare,
    compare_stress_inputs,
    predict_file,
)
from train.dataset.dataset import Clip, Dataset

HOPS_SECONDS = (2.0, 1.0, 0.5, 0.25, 0.125)
"""Hops to try: the longest that gives enough windows has the least overlap."""


def parity_inputs(dataset: Dataset, split: str, *, with_waveforms: bool = False, labelled: bool = True) -> ParityInputs:
    """At least :data:`export.parity.PARITY_WINDOWS` windows of a split's songs, or all that there are.

    Parameters
    ----------
    dataset : Dataset
    split : str
        ``validation`` or ``test``.
    with_waveforms : bool
        Keep the waveforms too, which need more memory than the images.
    labelled : bool
        Whether the dataset's genres are the model's.

    Raises
    ------
    TmgcError
        The split has no clip of at least one window.
    """
    lengths = {clip.name: _length(dataset, clip) for clip in dataset.of(split)}
    hop = next((hop for hop in HOPS_SECONDS if _count(lengths, dataset, hop) >= PARITY_WINDOWS), HOPS_SECONDS[-1])
    clips = [clip for clip in dataset.of(split) if lengths[clip.name] >= dataset.spectrogram.window_samples]
    if not clips:
        raise TmgcError(f"parity needs clips of the {split} split: {dataset.run.folder} has none. Prepare more songs")
    if len(clips) > MAX_PARITY_WINDOWS:
        clips = [clips[index] for index in np.linspace(0, len(clips) - 1, MAX_PARITY_WINDOWS).astype(int)]
    spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)
    windows, images, waveforms = [], [], []
    for clip, samples in dataset.windows(clips, hop_seconds=hop):
        windows.append(clip)
        images.append(spectrogram.image(samples))
        if with_waveforms:
            waveforms.append(samples)
    return ParityInputs(
        split=split,
        hop_seconds=hop,
        images=np.stack(images),
        labels=dataset.labels(windows) if labelled else None,
        clips=tuple(windows),
        waveforms=np.array(waveforms, np.float32).reshape(len(waveforms), dataset.spectrogram.window_samples),
    )


def _length(dataset: Dataset, clip: Clip) -> int:
    """Samples of the clip's file at the model's rate, from its header."""
    import soundfile

    info: Any = soundfile.info(clip.audio_path(dataset.run))
    return int(info.frames * dataset.spectrogram.sample_rate // info.samplerate)


def _count(lengths: dict[str, int], dataset: Dataset, hop_seconds: float) -> int:
    """Number of windows with a hop."""
    settings = dataset.spectrogram
    hop = hop_samples(settings, hop_seconds)
    return sum(
        1 + (length - settings.window_samples) // hop
        for length in lengths.values()
        if length >= settings.window_samples
    )


def stress_inputs(dataset: Dataset, split: str) -> dict[str, Samples]:
    """Waveforms of one window that resemble no song of the dataset, by name."""
    settings = dataset.spectrogram
    _, music = next(dataset.windows(dataset.of(split), hop_seconds=settings.window_seconds))
    return {**_synthetic(settings), "clipped music": np.clip(music * np.float32(20.0), -1.0, 1.0)}


def _synthetic(settings: SpectrogramSettings) -> dict[str, Samples]:
    length = settings.window_samples
    seconds = np.arange(length) / settings.sample_rate
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, length)
    return {
        "silence": np.zeros(length, np.float32),
        "full-scale noise": noise.astype(np.float32),
        "sine": np.sin(2.0 * np.pi * 440.0 * seconds).astype(np.float32),
    }


@dataclass(frozen=True)
class ParityReference:
    """Inputs and Keras' predictions for them. Files predict the same images, or the waveforms behind them."""

    inputs: ParityInputs
    keras: Probabilities
    stress_waveforms: dict[str, Samples]
    stress_images: NDArray[np.uint8]
    """``[shape=(n_stress, image_height, image_width, channels)]``"""
    keras_stress: Probabilities

    def report(
        self,
        file: Path,
        run_card: ModelCard,
        *,
        recipe: str,
        input_kind: str,
        threads: int,
        engine: str | None = None,
    ) -> ParityReport:
        """Compare a file with Keras.

        Parameters
        ----------
        file : Path
        run_card : ModelCard
            The card inside the file must agree with it.
        recipe : str
            Name of the recipe, which sets the tolerances.
        input_kind : str
            Of the file: one of :data:`edge_runtime.input_kinds.INPUT_KINDS`.
        threads : int > 0
        engine : str, optional
            As for :func:`edge_runtime.interpreters.open_interpreter`.
        """
        windows: list[ModelInput] = list(self.inputs.images)
        stress: list[ModelInput] = list(self.stress_images)
        if input_kind == "waveform":
            windows, stress = list(self.inputs.waveforms), list(self.stress_waveforms.values())
        predictions = predict_file(file, run_card, windows, stress, threads=threads, engine=engine)
        return compare(
            recipe,
            self.inputs,
            self.keras,
            predictions.windows,
            input_kind=input_kind,
            card_differences=predictions.card_differences,
            stress_inputs=compare_stress_inputs(
                list(self.stress_waveforms), run_card.genres, self.keras_stress, predictions.stress
            ),
            runtime=predictions.runtime,
        )


def collect_reference(
    model: KerasModel, dataset: Dataset, split: str, *, input_kind: str, labelled: bool = True
) -> ParityReference:
    """Compute the inputs of a split and Keras' predictions.

    Parameters
    ----------
    model : KerasModel
    dataset : Dataset
    split : str
        ``validation`` or ``test``.
    input_kind : str
        Of the files that are compared: one of :data:`edge_runtime.input_kinds.INPUT_KINDS`.
    labelled : bool
        Whether the dataset's genres are the model's.
    """
    inputs = parity_inputs(dataset, split, with_waveforms=input_kind == "waveform", labelled=labelled)
    stress = stress_inputs(dataset, split)
    images = spectrogram_images(dataset, list(stress.values()))
    if model.input_kind == "waveform":
        predictions = model.predict(inputs.waveforms), model.predict(np.stack(list(stress.values())))
    else:
        predictions = model.predict(inputs.images), model.predict(images)
    return ParityReference(inputs, predictions[0], stress, images, predictions[1])


def keras_golden(model: KerasModel, settings: SpectrogramSettings, colormap: Colormap) -> dict[str, tuple[float, ...]]:
    """Keras' probabilities for the golden windows, by name."""
    sounds = {name: golden_window(name, settings) for name in NAMES}
    if model.input_kind == "waveform":
        inputs: ModelInput = np.stack(list(sounds.values()))
    else:
        spectrogram = Spectrogram(settings, colormap)
        inputs = np.stack([spectrogram.image(sound) for sound in sounds.values()])
    predicted = model.predict(inputs)
    return {name: tuple(map(float, row)) for name, row in zip(sounds, predicted, strict=True)}
