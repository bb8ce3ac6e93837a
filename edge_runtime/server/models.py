"""The models that a server answers with: their names, and one interpreter for a listener and for uploads."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import Interpreter, ModelInput
from edge_runtime.outputs.json_lines import model_fields
from edge_runtime.server.refusals import RefusedError


@dataclass(frozen=True)
class ServedModel:
    """A model that answers uploads."""

    name: str
    """What ``?model=`` selects: the name of its file without the ending."""
    file: str
    """Name of its file, without the folder."""
    classifier: GenreClassifier

    @property
    def fields(self) -> Mapping[str, Any]:
        """What a summary says of the model."""
        return model_fields(self.classifier, self.file)

    def check_ready(self) -> None:
        """Refuse a model whose last answers were not finite.

        Raises
        ------
        RefusedError
            With 503.
        """
        if self.classifier.health.failed:
            found = f"the last {self.classifier.health.invalid_in_a_row} of {self.name} were not"
            raise RefusedError(503, "a model's answers are finite", found, "see tmgc-listen doctor")

    def to_json(self, *, card: bool) -> dict[str, Any]:
        """The model for ``/v1/models``, and with its card for ``/v1/model``."""
        found = self.classifier.card
        described = {
            "id": self.name,
            **self.fields,
            "genres": list(found.genres),
            "window_s": found.spectrogram.window_seconds,
            "sample_rate": found.spectrogram.sample_rate,
            "warning": found.warning,
        }
        return {**described, "card": json.loads(found.to_json())} if card else described


def served_models(models: Sequence[tuple[Path, GenreClassifier]]) -> dict[str, ServedModel]:
    """Models by name, in their order.

    Raises
    ------
    TmgcError
        Two have the same name.
    """
    served: dict[str, ServedModel] = {}
    for path, classifier in models:
        if path.stem in served:
            raise TmgcError(f"models must differ in the names of their files: two are {path.stem}. Rename one")
        served[path.stem] = ServedModel(path.stem, path.name, classifier)
    return served


def share(classifier: GenreClassifier) -> tuple[GenreClassifier, GenreClassifier]:
    """Two classifiers with one interpreter, which each thread may use: the second one waits for the first.

    Parameters
    ----------
    classifier : GenreClassifier
        Is not used any more.

    Returns
    -------
    first, second : GenreClassifier
        Of the listener, and of uploads.
    """
    turns = _Turns()
    return (
        GenreClassifier(_Shared(classifier.interpreter, turns.first), classifier.health),
        GenreClassifier(_Shared(classifier.interpreter, turns.second), classifier.health),
    )


class _Turns:
    """A lock that prefers one of two threads: it waits for one inference of the other at most."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = False
        self._first_waits = False

    @contextmanager
    def first(self) -> Iterator[None]:
        with self._changed:
            self._first_waits = True
            self._changed.wait_for(lambda: not self._busy)
            self._first_waits, self._busy = False, True
        yield from self._turn()

    @contextmanager
    def second(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and not self._first_waits)
            self._busy = True
        yield from self._turn()

    def _turn(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()


class _Shared:
    """An interpreter that takes turns."""

    def __init__(self, interpreter: Interpreter, turn: Any) -> None:
        self._interpreter = interpreter
        self._turn = turn
        self.path, self.card = interpreter.path, interpreter.card
        self.runtime, self.threads = interpreter.runtime, interpreter.threads
        self.input, self.output = interpreter.input, interpreter.output

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        with self._turn():
            return self._interpreter.invoke(model_input)
