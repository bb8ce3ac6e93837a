"""Adoption: a run whose model is a teacher itself, naming genres by its tags. Nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.files import atomic_write
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram
from train.evaluation.rejection import best_threshold, negative_confidences
from train.libraries import predict_in_batches, versions
from train.run import Run
from train.synthesis.negatives import TRAINED_ON
from train.teachers.genre_mapping import NOTE, GenreMapping
from train.teachers.tagger import Tagger
from train.training.checkpoint import LIBRARIES
from train.training.model import BACKBONE, FRONT_END, HEAD

if TYPE_CHECKING:
    import keras

NOT_REJECTED = "0: noise, hum and speech get as high a confidence as music does"
CHOSEN = "chosen on synthesised noise, hum and speech; it rejects at most a tenth of the music of the pretraining"


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
        run.check_vacant()
        scores = np.zeros((0, len(mapping.genres)))
        if tagger.music is not None:
            scores = mapping.scores(tagger.music, tagger.tags)
        prior = scores.mean(axis=0) if len(scores) else np.zeros(len(mapping.genres))
        network = build(tagger, mapping, prior)
        threshold = _threshold(network, tagger, scores - prior) if len(scores) else 0.0
        card = _card(run, tagger, mapping, prior).replace(threshold=threshold)
        with ExitStack() as replacements:
            replacements.enter_context(atomic_write(run.card_json)).write_text(card.to_json(), "utf-8")
            network.save(replacements.enter_context(atomic_write(run.model)))
    return card


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
        channels = tagger.colormap.shape[1]
        window = keras.Input((settings.image_height, settings.image_width, channels), dtype="uint8", name="image")
    return keras.Model(window, head(tagger.backbone(tagger.front_end(window))), name=tagger.architecture)


def _threshold(network: keras.Model, tagger: Tagger, scores: NDArray[np.float64]) -> float:
    """The threshold that best separates music, of which only the scores are needed, from sounds that are none."""
    from scipy.special import softmax

    spectrogram = Spectrogram(tagger.spectrogram, tagger.colormap)

    def predict(windows: Sequence[Samples]) -> NDArray[np.float32]:
        images = np.stack([spectrogram.image(samples) for samples in windows])
        return predict_in_batches(network, images)

    music = softmax(scores, axis=1).max(axis=1)
    others = [negative_confidences(kind, tagger.spectrogram, predict, purpose="choose") for kind in TRAINED_ON]
    return best_threshold(music.astype(np.float32), np.concatenate(others))


def _card(run: Run, tagger: Tagger, mapping: GenreMapping, prior: NDArray[np.float64]) -> ModelCard:
    return ModelCard(
        name=run.name,
        genres=mapping.genres,
        spectrogram=tagger.spectrogram,
        colormap=tuple(map(tuple, tagger.colormap.tolist())),
        input_kind=tagger.input_kind,
        network={
            "architecture": tagger.architecture,
            "teacher": tagger.name,
            "mapping": {genre: list(tags) for genre, tags in mapping.tags_of.items()},
            "prior": dict(zip(mapping.genres, prior.round(4).tolist(), strict=True)),
            "threshold": NOT_REJECTED if tagger.music is None else CHOSEN,
            "note": NOTE,
            **({"licence": tagger.licence} if tagger.licence else {}),
        },
        training={"adopted": True},
        versions=versions(LIBRARIES),
    )
