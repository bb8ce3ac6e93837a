"""Networks that name tags of music, in the parts that a classifier of genres is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.spectrogram import Colormap, SpectrogramSettings
from train.libraries import load_keras_model
from train.run import Run
from train.teachers import MUSICNN
from train.teachers.genre_mapping import GenreMapping
from train.training.distillation import TARGETS, TargetScaling
from train.training.model import BACKBONE, FRONT_END

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Tagger:
    """A network that names tags. Its last layer is a product with a matrix."""

    name: str
    """Of the teacher whose tags these are, for the card."""
    architecture: str
    front_end: keras.layers.Layer
    """From a window to what the backbone takes."""
    backbone: keras.Model
    """To features ``[shape=(n, n_features)], float32``."""
    tags: tuple[str, ...]
    kernel: NDArray[np.float32]
    """From features to the log-odds of the tags, ``[shape=(n_features, n_tags)]``."""
    bias: NDArray[np.float32]
    """``[shape=(n_tags,)]``"""
    input_kind: str
    """One of :data:`edge_runtime.input_kinds.INPUT_KINDS`."""
    spectrogram: SpectrogramSettings
    colormap: Colormap
    licence: str
    music: NDArray[np.float32] | None = None
    """Log-odds of the tags for windows of much music, ``[shape=(n, n_tags)]``, where the network is no good judge of
    how likely each tag is: the mean score over them is the prior of a genre."""


def musicnn_tagger(mapping: GenreMapping) -> Tagger:
    """The networks of musicnn that know the tags of a mapping: one or both.

    Parameters
    ----------
    mapping : GenreMapping
        Tags of MagnaTagATune begin with :data:`~train.teachers.genre_mapping.MAGNATAGATUNE`.

    Raises
    ------
    TmgcError
        No network knows one of the tags; the wheel cannot be downloaded, or is damaged.
    """
    from scipy.linalg import block_diag

    from train.dataset.build import magma
    from train.teachers import musicnn

    mapping.check_known([tag for tags in musicnn.TAGS.values() for tag in tags])
    names = [name for name, tags in musicnn.TAGS.items() if set(tags) & set(mapping.tags)]
    wheel, settings = musicnn.WHEEL.fetch(), SpectrogramSettings(sample_rate=musicnn.SAMPLE_RATE)
    front_end = musicnn.front_end(settings)
    kernels, biases = zip(*(musicnn.tag_layer(wheel, name) for name in names), strict=True)
    return Tagger(
        name=MUSICNN,
        architecture=MUSICNN,
        front_end=front_end,
        backbone=musicnn.backbone(input_shape=front_end.output_shape[1:], weights=MUSICNN, networks=names),
        tags=tuple(tag for name in names for tag in musicnn.TAGS[name]),
        kernel=block_diag(*kernels),
        bias=np.concatenate(biases),
        input_kind="waveform",
        spectrogram=settings,
        colormap=magma(),
        licence=musicnn.WHEEL.licence(wheel),
    )


def pretrained_tagger(run: Run) -> Tagger:
    """The network of a pretraining that learnt the tags of a teacher.

    Its outputs are shrunk towards their mean over the music that it learnt from, so that it knows how unusual a tag is
    rather than how likely: hence :attr:`Tagger.music`.

    Parameters
    ----------
    run : Run

    Raises
    ------
    TmgcError
        It is none, or a file of it is damaged.
    """
    from train.pretraining.pretrain import read_pretraining

    facts, network = read_pretraining(run), load_keras_model(run.model)
    try:
        scaling = TargetScaling(*(np.array(facts[f"target_{name}"], np.float32) for name in ("mean", "deviation")))
        kernel, bias = network.get_layer(TARGETS).get_weights()
        outputs = np.load(run.validation_outputs).astype(np.float32)
        if not len(outputs) or outputs.shape[1:] != bias.shape or len(facts["target_names"]) != len(bias):
            raise ValueError(f"{run.validation_outputs.name} has shape {outputs.shape}")
        return Tagger(
            name=str(facts["teacher"]),
            architecture=str(facts["settings"]["architecture"]),
            front_end=network.get_layer(FRONT_END),
            backbone=network.get_layer(BACKBONE),
            tags=tuple(map(str, facts["target_names"])),
            kernel=kernel * scaling.deviation,
            bias=bias * scaling.deviation + scaling.mean,
            input_kind="image",
            spectrogram=SpectrogramSettings.from_json(facts["settings"]["spectrogram"]),
            colormap=np.array(facts["colormap"], np.uint8),
            licence=str(facts["licence"]),
            music=outputs * scaling.deviation + scaling.mean,
        )
    except (TmgcError, ValueError, KeyError, TypeError, AttributeError, OSError, EOFError) as error:
        raise TmgcError(
            f"{run.folder} must hold a finished pretraining, and cannot be read ({first_line(error)}). Run: "
            "tmgc-train pretrain"
        ) from error
