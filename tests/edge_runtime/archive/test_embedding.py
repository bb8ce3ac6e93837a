"""A second output changes nothing about the first."""

from __future__ import annotations

import numpy as np

from edge_runtime.archive.embedding import EmbeddingInterpreter
from edge_runtime.interpreters.litert import LiteRTInterpreter
from edge_runtime.models import SMALL_MODEL


def test_the_probabilities_follow_from_the_embedding_and_are_those_of_the_model_without() -> None:
    model, plain = EmbeddingInterpreter(SMALL_MODEL, threads=1), LiteRTInterpreter(SMALL_MODEL, threads=1)
    embeddings = []
    for seed in range(3):
        image = np.random.default_rng(seed).integers(0, 256, model.card.input_shape).astype(np.uint8)
        np.testing.assert_array_equal(model.invoke(image), plain.invoke(image))
        embeddings.append(model.embedding)
    assert {embedding.shape for embedding in embeddings} == {(128,)}
    assert not np.array_equal(embeddings[0], embeddings[1])
    assert min(embedding.min() for embedding in embeddings) >= 0, "a layer with ReLU"
    assert model.accelerated
