"""Networks from the weights of old ``.h5`` files: built anew, and given the weights in their order.

Keras 2 saved networks with ``Lambda`` layers, which are code: nothing but the weights is taken from such a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError, first_line
from export.libraries import library
from train.fitting.network import BACKBONE, HEAD, build_network


def rebuilt(weights: Path, architecture: str, card: ModelCard) -> Any:
    """A network of the original's topology with the weights of a file: pixels / 255, a backbone, and the head.

    Parameters
    ----------
    weights : Path
        What Keras 2 or 3 wrote by ``save_weights`` or ``save``, of a network whose backbone is one layer, or whose
        backbone's layers and the head's are all in one row.
    architecture : str
        See :func:`train.fitting.architectures.find_architecture`.
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
        unit_pixels=True,
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
    return library("keras").Sequential([library("keras").Input(network.input_shape[1:]), *layers])


def _all_layers_in_a_row(network: Any) -> Any:
    backbone = network.get_layer(BACKBONE)
    given = backbone.output
    for layer in network.get_layer(HEAD).layers:
        given = layer(given)
    return library("keras").Model(backbone.input, given)
