"""Adoption: a run whose model is a teacher itself, naming genres by its tags. Nothing is trained."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL, atomic_write
from edge_runtime.model_card import ModelCard
from train.libraries import versions
from train.run import Run
from train.teachers.genre_mapping import NOTE, GenreMapping
from train.teachers.tagger import Tagger
from train.training.model import BACKBONE, FRONT_END, HEAD

if TYPE_CHECKING:
    import keras

_LIBRARIES = ("tmgc", "keras", "tensorflow", "jax", "torch", "numpy")


def check_vacant(run: Run) -> None:
    """Check that a folder is new or empty.

    Raises
    ------
    TmgcError
        It holds something.
    """
    if not run.folder.exists():
        return
    if not run.folder.is_dir():
        raise TmgcError(f"a run is a folder, {run.folder} is a file: name another place")
    if held := sorted(path.name for path in run.folder.iterdir() if not path.name.startswith(PARTIAL)):
        raise TmgcError(
            f"a teacher is adopted into a new or empty folder: {run.folder} holds {held[0]}. Name another one"
        )


def adopt(run: Run, tagger: Tagger, mapping: GenreMapping) -> ModelCard:
    """Write a model that names genres by a network's tags, and its card.

    Parameters
    ----------
    run : Run
        Its folder is new or empty.
    tagger : Tagger
    mapping : GenreMapping
        With tags of the network.

    Raises
    ------
    TmgcError
        The network does not know a tag, or the folder holds something.
    """
    mapping.check_known(tagger.tags)
    with run.lock():
        check_vacant(run)
        prior = _prior(tagger, mapping)
        network = build(tagger, mapping, prior)
        card = _card(run, tagger, mapping, prior, network)
        with ExitStack() as replacements:
            replacements.enter_context(atomic_write(run.card_json)).write_text(card.to_json(), "utf-8")
            network.save(replacements.enter_context(atomic_write(run.model)))
    return card


def _prior(tagger: Tagger, mapping: GenreMapping) -> NDArray[np.float64]:
    """Mean score of each genre over much music; 0 where the network's own log-odds are taken as they are."""
    if tagger.music is None:
        return np.zeros(len(mapping.genres))
    prior: NDArray[np.float64] = mapping.scores(tagger.music, tagger.tags).mean(axis=0)
    return prior


def build(tagger: Tagger, mapping: GenreMapping, prior: NDArray[np.float64]) -> keras.Model:
    """The network from windows to the probabilities of genres.

    Parameters
    ----------
    tagger : Tagger
    mapping : GenreMapping
    prior : np.ndarray [shape=(n_genres,)]
        Is subtracted from the scores.

    Returns
    -------
    network : keras.Model
        With the three layers of :func:`train.training.model.build_network`.
    """
    import keras
    from keras import layers

    columns = mapping.columns(tagger.tags)
    tags_of_genres = layers.Dense(columns.size, dtype="float32")
    head = keras.Sequential(
        [
            keras.Input(tagger.kernel.shape[:1]),
            tags_of_genres,
            layers.Reshape(columns.shape),
            layers.GlobalMaxPooling1D(),
            layers.Softmax(dtype="float32"),
        ],
        name=HEAD,
    )
    # The prior is the same for all tags of a genre, so that it can be taken off before the maximum.
    bias = tagger.bias[columns] - prior
    tags_of_genres.set_weights([tagger.kernel[:, columns.ravel()], bias.ravel().astype(np.float32)])
    tagger.front_end.name, tagger.backbone.name = FRONT_END, BACKBONE
    settings = tagger.spectrogram
    if tagger.input_kind == "waveform":
        window = keras.Input((settings.window_samples,), name="waveform")
    else:
        window = keras.Input((settings.image_height, settings.image_width, 3), dtype="uint8", name="image")
    return keras.Model(window, head(tagger.backbone(tagger.front_end(window))), name=tagger.architecture)


def _card(
    run: Run,
    tagger: Tagger,
    mapping: GenreMapping,
    prior: NDArray[np.float64],
    network: keras.Model,
) -> ModelCard:
    return ModelCard(
        name=run.name,
        genres=mapping.genres,
        spectrogram=tagger.spectrogram,
        colormap=tuple(map(tuple, tagger.colormap.tolist())),
        input_kind=tagger.input_kind,
        network={
            "architecture": tagger.architecture,
            "parameters": network.count_params(),
            "mapping": {genre: list(tags) for genre, tags in mapping.tags_of.items()},
            "prior": dict(zip(mapping.genres, prior.round(4).tolist(), strict=True)),
            "note": NOTE,
            **({"licence": tagger.licence} if tagger.licence else {}),
        },
        training={"adopted": True},
        versions=versions(_LIBRARIES),
    )
