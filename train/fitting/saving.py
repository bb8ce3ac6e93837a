"""A trained network and its card, written into its run."""

from __future__ import annotations

from typing import Any

import keras

from edge_runtime.card import ModelCard
from edge_runtime.files import written_whole
from train.corpus import Corpus
from train.fitting.checkpoint import Progress
from train.fitting.network import build_network
from train.fitting.settings import FitSettings
from train.libraries import versions
from train.run import SPLITS

_LIBRARIES = ("tmgc", "keras", "tensorflow", "jax", "torch", "numpy")


def save_network(network: keras.Model, corpus: Corpus, settings: FitSettings, progress: Progress) -> ModelCard:
    """Write ``model.keras`` and ``card.json``; what was said of an earlier model is forgotten.

    The model is in float32 whatever it was trained in, and without the optimizer's state, which would make the file
    three times as large.
    """
    card = _card(network, corpus, settings, progress)
    if settings.precision == "float32":
        whole = keras.Model(network.inputs, network.outputs, name=network.name)
    else:
        whole = _in_float32(network, corpus, settings)
    with written_whole(corpus.run.model) as path:
        whole.save(path)
        corpus.run.card_json.unlink(missing_ok=True)  # or the new model could stand beside the old one's card
    with written_whole(corpus.run.card_json) as path:
        path.write_text(card.to_json(), "utf-8")
    corpus.run.forget_judgement()
    return card


def _in_float32(network: keras.Model, corpus: Corpus, settings: FitSettings) -> keras.Model:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    whole = build_network(
        settings.architecture,
        image_height=corpus.spectrogram.image_height,
        image_width=corpus.spectrogram.image_width,
        n_genres=len(corpus.genres),
        weights="none",
        unit_pixels=settings.unit_pixels,
    )
    keras.config.set_dtype_policy(policy)
    whole.set_weights(network.get_weights())
    return whole


def _card(network: keras.Model, corpus: Corpus, settings: FitSettings, progress: Progress) -> ModelCard:
    phases = [row["phase"] for row in progress.history]
    training: dict[str, Any] = {
        "corpus_sha256": corpus.fingerprint(),
        "settings": settings.to_json(),
        "learning_rate": progress.learning_rate,
        "head_epochs": phases.count("head"),
        "epochs": phases.count("fine-tuning"),
        "seconds": round(progress.seconds, 1),
        "backend": keras.config.backend(),
    }
    for split in SPLITS:
        clips = corpus.of(split)
        training[split] = {"songs": len({(clip.genre, clip.song) for clip in clips}), "clips": len(clips)}
    return ModelCard(
        name=corpus.run.name,
        genres=corpus.genres,
        spectrogram=corpus.spectrogram,
        palette=tuple(map(tuple, corpus.palette.tolist())),
        demonstration=corpus.demonstration,
        network={
            "architecture": network.name,
            "parameters": network.count_params(),
            "initial_weights": settings.weights,
        },
        training=training,
        versions=versions(_LIBRARIES),
    )
