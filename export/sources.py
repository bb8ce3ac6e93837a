"""What is exported: a trained run, or a bare model with the clips that calibrate and prove its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import SpectrogramSettings
from train.dataset.dataset import Dataset, read_dataset
from train.libraries import library
from train.run import Run
from train.training.model import BACKBONE, HEAD, build_network


def rebuilt(weights: Path, architecture: str, card: ModelCard) -> Any:
    """A network of the original's topology with the weights of a file: pixels / 255, a backbone, and the head.

    Parameters
    ----------
    weights : Path
        What Keras 2 or 3 wrote by ``save_weights`` or ``save``, of a network whose backbone is one layer, or whose
        backbone's layers and the head's are all in one row.
    architecture : str
        See :func:`train.training.model.find_architecture`.
    card : ModelCard
        Says the size of the pictures and the number of genres.

    Returns
    -------
    network : keras.Model
        Takes ``[shape=(n, image_height, image_width, 3)], uint8``, gives ``[shape=(n, n_genres)], float32``.

    Raises
    ------
    TmgcError
        The file's weights are not those of such a network.
    """
    network = build_network(
        architecture,
        image_height=card.spectrogram.image_height,
        image_width=card.spectrogram.image_width,
        n_genres=len(card.genres),
        weights="none",
        rescale_to_unit=True,
    )
    reasons = []
    for topology in (_backbone_as_one_layer(network), _all_layers_in_a_row(network)):
        try:
            topology.load_weights(weights)
            return network
        except (ValueError, OSError, KeyError) as error:
            reasons.append(first_line(error))
    raise TmgcError(
        f"{weights} must hold the weights of {architecture} with the original's head and {len(card.genres)} genres: "
        f"{'; '.join(dict.fromkeys(reasons))}. Name another --architecture, or other --genres"
    )


def _backbone_as_one_layer(network: Any) -> Any:
    layers = [network.get_layer(BACKBONE), *network.get_layer(HEAD).layers]
    return library("keras", extra="export").Sequential(
        [library("keras", extra="export").Input(network.input_shape[1:]), *layers]
    )


def _all_layers_in_a_row(network: Any) -> Any:
    backbone = network.get_layer(BACKBONE)
    given = backbone.output
    for layer in network.get_layer(HEAD).layers:
        given = layer(given)
    return library("keras", extra="export").Model(backbone.input, given)


OLD_WEIGHTS = (".h5", ".hdf5")
"""Endings of files of weights alone, or whose weights alone are taken."""

BARE_MODELS = (".keras", *OLD_WEIGHTS)
"""Endings of models that stand outside a run."""


@dataclass(frozen=True)
class Source:
    """A model, its card, and the clips to hold its files against it with."""

    name: str
    """What the files' names begin with."""
    model: Path
    card: ModelCard
    dataset: Dataset
    """Its genres, settings and colormap are the card's."""
    exports: Path
    """Folder of the files, unless another is asked for."""
    parity_json: Path | None
    """Of a run; a bare model's stands among its files."""
    architecture: str | None = None
    """What the model file's weights are of, where nothing else is taken from it."""

    def network(self) -> Any:
        """The Keras model; ``None`` where it is the model file itself."""
        if self.architecture is None:
            return None
        from export.sources import rebuilt

        return rebuilt(self.model, self.architecture, self.card)


def source_of_run(run: Run) -> Source:
    """A trained run.

    Raises
    ------
    TmgcError
        It is not trained, or was prepared anew since.
    """
    dataset, card = read_dataset(run.existing()), run.card()
    dataset.check_trained(card)
    return Source(run.name, run.model, card, dataset, run.exports, run.parity_json)


def source_of_bare_model(
    model: Path, *, genres: Sequence[str], settings: Path, dataset: Run, architecture: str
) -> Source:
    """A model that no run of this project has trained.

    Parameters
    ----------
    model : Path
        One of :data:`BARE_MODELS`.
    genres : sequence of str
        In the order of the model's outputs.
    settings : Path
        JSON: spectrogram settings, or a document that holds some as ``spectrogram``, such as a card.
    dataset : Run
        A prepared run with the same genres. Its clips are drawn anew as the settings say.
    architecture : str
        Of a file of :data:`OLD_WEIGHTS`, see :func:`train.training.model.find_architecture`.

    Raises
    ------
    TmgcError
        A file cannot be read, or the genres are not those of the dataset.
    """
    if not model.is_file():
        raise TmgcError(f"a model to export must exist: there is no file {model}. Check the spelling")
    spectrogram, prepared = _spectrogram_settings(settings), read_dataset(dataset)
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
        network={"architecture": architecture} if model.suffix in OLD_WEIGHTS else {},
    )
    return Source(
        name=model.stem,
        model=model,
        card=card,
        dataset=replace(prepared, genres=card.genres, spectrogram=spectrogram),
        exports=model.parent / "exports",
        parity_json=None,
        architecture=architecture if model.suffix in OLD_WEIGHTS else None,
    )


def _spectrogram_settings(path: Path) -> SpectrogramSettings:
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
