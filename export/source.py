"""What is exported: a trained run, or a bare model with the clips that calibrate and prove its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.spectrogram import SpectrogramSettings
from train.corpus import Corpus, read_corpus
from train.run import Run

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
    corpus: Corpus
    """Its genres, settings and palette are the card's."""
    exports: Path
    """Folder of the files, unless another is asked for."""
    parity_json: Path
    architecture: str | None = None
    """What the model file's weights are of, where nothing else is taken from it."""

    def network(self) -> Any:
        """The Keras model; ``None`` where it is the model file itself."""
        if self.architecture is None:
            return None
        from export.rebuilding import rebuilt

        return rebuilt(self.model, self.architecture, self.card)


def source_of_run(run: Run) -> Source:
    """A trained run.

    Raises
    ------
    TmgcError
        It is not trained, or was prepared anew since.
    """
    corpus, card = read_corpus(run.existing()), run.card()
    corpus.check_trained(card)
    return Source(run.name, run.model, card, corpus, run.exports, run.parity_json)


def source_of_bare_model(
    model: Path, *, genres: Sequence[str], settings: Path, corpus: Run, architecture: str
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
    corpus : Run
        A prepared run with the same genres. Its clips are drawn anew as the settings say.
    architecture : str
        Of a file of :data:`OLD_WEIGHTS`, see :func:`train.fitting.architectures.find_architecture`.

    Raises
    ------
    TmgcError
        A file cannot be read, or the genres are not those of the corpus.
    """
    if not model.is_file():
        raise TmgcError(f"a model to export must exist: there is no file {model}. Check the spelling")
    spectrogram, prepared = _spectrogram_settings(settings), read_corpus(corpus)
    if set(genres) != set(prepared.genres):
        raise TmgcError(
            f"--genres must be those of --corpus, in the order of the model's outputs: got {', '.join(genres)}, "
            f"{corpus.folder} has {', '.join(prepared.genres)}. Name both alike"
        )
    card = ModelCard(
        name=model.stem,
        genres=tuple(genres),
        spectrogram=spectrogram,
        palette=tuple(map(tuple, prepared.palette.tolist())),
        network={"architecture": architecture} if model.suffix in OLD_WEIGHTS else {},
    )
    return Source(
        name=model.stem,
        model=model,
        card=card,
        corpus=replace(prepared, genres=card.genres, spectrogram=spectrogram),
        exports=model.parent / "exports",
        parity_json=model.parent / "exports" / "parity.json",
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
            "A run's corpus.json is an example"
        ) from error
