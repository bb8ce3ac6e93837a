"""What is exported: a trained run, or a bare model with a dataset to calibrate and compare its files with."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import SpectrogramSettings
from train.dataset.dataset import Dataset, read_dataset
from train.libraries import library, silence
from train.run import Run

log = logging.getLogger("tmgc.export")

WEIGHTS_SUFFIXES = (".h5", ".hdf5")
"""Suffixes of files from which the weights alone are read."""

BARE_SUFFIXES = (".keras", *WEIGHTS_SUFFIXES)
"""Suffixes of models outside a run."""


@dataclass(frozen=True)
class Source:
    """A model, its card, and the dataset that calibrates its files and compares them with Keras."""

    name: str
    """First part of the names of its files."""
    model: Path
    card: ModelCard
    dataset: Dataset
    """With the spectrogram settings and the colormap of the card, and with its genres where it is labelled."""
    exports: Path
    """Default folder of its files."""
    parity_json: Path | None
    """Of a run; that of a bare model is in the folder of its files."""
    compared_on: str
    """Whose songs the dataset holds, for cards and reports."""
    labelled: bool = True
    """Whether those songs are of the model's genres, so that there is an accuracy to compare."""
    architecture: str | None = None
    """Architecture of the weights, where the model file is a file of weights."""

    def network(self) -> Any:
        """The Keras model of the weights; ``None`` where the model file holds the whole model."""
        return None if self.architecture is None else rebuild_network(self.model, self.architecture, self.card)


@contextmanager
def open_run(run: Run) -> Iterator[Source]:
    """A trained run, locked until it has been exported.

    Raises
    ------
    TmgcError
        Another command has locked it, it is not trained, or its dataset was prepared again since.
    """
    with run.existing().lock():
        dataset, card = read_dataset(run), run.card()
        dataset.check_trained(card)
        if card.temperature == 1.0 and card.threshold == 0.0:
            log.warning(
                "%s is not evaluated: the threshold of its files is 0, so that they accept any audio. Evaluate it "
                "first: tmgc-train evaluate %s",
                run.folder,
                run.folder,
            )
        yield Source(run.name, run.model, card, dataset, run.exports, run.parity_json, compared_on=run.name)


def is_adopted(run: Run) -> bool:
    """Whether a run has a model and no songs, as ``tmgc-train adopt`` makes it; nothing in it is read."""
    return run.card_json.is_file() and not run.dataset_csv.is_file()


@contextmanager
def open_adopted(run: Run, dataset: Run | None) -> Iterator[Source]:
    """A run whose model was adopted, locked until it has been exported, and so is the run of the dataset.

    Parameters
    ----------
    run : Run
    dataset : Run or None
        A prepared run, whose genres may be others: then there is no accuracy to compare. None synthesises songs.

    Raises
    ------
    TmgcError
        Another command has locked a run, or the dataset has another sample rate or length of windows.
    """
    with ExitStack() as stack:
        stack.enter_context(run.existing().lock())
        card = run.card()
        if not card.training.get("adopted"):
            read_dataset(run)  # says that the dataset of a trained run is missing
        if dataset and dataset.folder.resolve() == run.folder.resolve():
            raise TmgcError(f"--dataset is a run with songs: {run.folder} is the adopted one. Name another, or none")
        if dataset:
            stack.enter_context(dataset.existing().lock())
            songs, compared_on = read_dataset(dataset), dataset.name
            _check_windows(songs, card)
        else:
            log.info("Synthesising music to compare on, since an adopted run has no songs: --dataset RUN names others")
            songs, compared_on = stack.enter_context(_synthesised(run, card)), "synthesised music"
        labelled = set(songs.genres) == set(card.genres) and not songs.demonstration
        yield Source(
            name=run.name,
            model=run.model,
            card=card,
            dataset=replace(
                songs,
                genres=card.genres if labelled else songs.genres,
                spectrogram=card.spectrogram,
                colormap=card.colormap_array,
            ),
            exports=run.exports,
            parity_json=run.parity_json,
            compared_on=compared_on,
            labelled=labelled,
        )


def _check_windows(songs: Dataset, card: ModelCard) -> None:
    found, needed = songs.spectrogram, card.spectrogram
    if (found.sample_rate, found.window_seconds) != (needed.sample_rate, needed.window_seconds):
        raise TmgcError(
            f"--dataset must hold windows of {needed.window_seconds:g} s at {needed.sample_rate} Hz: "
            f"{songs.run.folder} has {found.window_seconds:g} s at {found.sample_rate} Hz. Prepare the songs again: "
            f"tmgc-train prepare SONGS RUN --sample-rate {needed.sample_rate}"
        )


@contextmanager
def _synthesised(run: Run, card: ModelCard) -> Iterator[Dataset]:
    """A dataset of the demonstration corpus in a temporary folder: two songs of each genre in every split."""
    from train.dataset import DatasetConfig, prepare
    from train.demo_corpus import write_demo_corpus

    settings = DatasetConfig(
        offsets_seconds=(0.5, 2.0, 3.5, 5.0), spectrogram=card.spectrogram, split_ratios=(1 / 3, 1 / 3, 1 / 3)
    )
    with run.work_folder() as folder:
        with silence():
            write_demo_corpus(folder / "songs", songs_per_genre=6, seconds=8.0, difficulty="hard")
            dataset, _ = prepare(folder / "songs", Run(folder / "synthesised"), settings)
        yield dataset


@contextmanager
def open_bare_model(
    model: Path, *, genres: Sequence[str], settings: Path, dataset: Run, architecture: str
) -> Iterator[Source]:
    """A model that was not trained in a run; the run of its dataset is locked until it has been exported.

    Parameters
    ----------
    model : Path
        With one of :data:`BARE_SUFFIXES`.
    genres : sequence of str
        In the order of the model's outputs.
    settings : Path
        JSON: spectrogram settings, or a document with settings as ``spectrogram``, such as a card.
    dataset : Run
        A prepared run with the same genres. Spectrograms of its clips are computed with ``settings``.
    architecture : str
        Of weights, see :func:`train.training.architectures.find_architecture`.

    Raises
    ------
    TmgcError
        A file cannot be read, or the genres are not those of the dataset.
    """
    if not model.is_file():
        raise TmgcError(f"a model to export must exist: there is no file {model}. Check the spelling")
    spectrogram = _read_settings(settings)
    weights_only = model.suffix in WEIGHTS_SUFFIXES
    with dataset.existing().lock():
        prepared = read_dataset(dataset)
        if set(genres) != set(prepared.genres):
            raise TmgcError(
                f"--genres must be those of --dataset, in the order of the model's outputs: got {', '.join(genres)}, "
                f"{dataset.folder} has {', '.join(prepared.genres)}. Name both alike"
            )
        card = ModelCard(
            name=model.stem,
            genres=tuple(genres),
            spectrogram=spectrogram,
            colormap=tuple(map(tuple, prepared.colormap.tolist())),
            network={"architecture": architecture} if weights_only else {},
        )
        yield Source(
            name=model.stem,
            model=model,
            card=card,
            dataset=replace(prepared, genres=card.genres, spectrogram=spectrogram),
            exports=model.parent / "exports",
            parity_json=None,
            compared_on=dataset.name,
            architecture=architecture if weights_only else None,
        )


def _read_settings(path: Path) -> SpectrogramSettings:
    try:
        document: Any = json.loads(path.read_text("utf-8"))
        return SpectrogramSettings.from_json(document.get("spectrogram", document))
    except TmgcError as error:
        raise TmgcError(f"--settings {path}: {error}") from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise TmgcError(
            f"--settings must be a JSON file of spectrogram settings: {path} cannot be read ({first_line(error)}). "
            "A run's dataset.json is an example"
        ) from error


def rebuild_network(weights: Path, architecture: str, card: ModelCard) -> Any:
    """A network of the reference's topology with weights from a file: pixels / 255, a backbone, and the head.

    Parameters
    ----------
    weights : Path
        Written by ``save_weights`` or ``save`` of Keras 2 or 3, for a network whose backbone is one layer, or for one
        whose backbone and head are a single sequence of layers.
    architecture : str
        See :func:`train.training.architectures.find_architecture`.
    card : ModelCard
        Sets the size of the images and the number of genres.

    Returns
    -------
    network : keras.Model
        From ``[shape=(n, image_height, image_width, channels)], uint8`` to ``[shape=(n, n_genres)], float32``.

    Raises
    ------
    TmgcError
        The weights of the file do not fit such a network.
    """
    from train.training.model import build_network

    network = build_network(
        architecture,
        card.spectrogram,
        n_genres=len(card.genres),
        channels=len(card.colormap[0]),
        weights="none",
        rescale_to_unit=True,
    )
    reasons = []
    for topology in (_nested_topology(network), _flat_topology(network)):
        try:
            topology.load_weights(weights)
            return network
        except (ValueError, OSError, KeyError) as error:
            reasons.append(first_line(error))
    raise TmgcError(
        f"{weights} must hold the weights of {architecture} with the reference's head and {len(card.genres)} genres: "
        f"{'; '.join(dict.fromkeys(reasons))}. Name another --architecture, or other --genres"
    )


def _nested_topology(network: Any) -> Any:
    from train.training.model import BACKBONE, HEAD

    keras = library("keras", extra="export")
    layers = [network.get_layer(BACKBONE), *network.get_layer(HEAD).layers]
    return keras.Sequential([keras.Input(network.input_shape[1:]), *layers])


def _flat_topology(network: Any) -> Any:
    from train.training.model import BACKBONE, HEAD

    backbone = network.get_layer(BACKBONE)
    output = backbone.output
    for layer in network.get_layer(HEAD).layers:
        output = layer(output)
    return library("keras", extra="export").Model(backbone.input, output)
