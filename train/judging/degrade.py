"""How much worse a model does on sound of low quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from train.corpus import Clip, Corpus
from train.judging.unknown import Predict
from train.progress import Reporter


@dataclass(frozen=True)
class Degraded:
    """Accuracy on clips whose sound was made worse in one way."""

    name: str
    clips: int
    clip_accuracy: float
    clip_interval: tuple[float, float]


def degrade(corpus: Corpus, clips: Sequence[Clip], predict: Predict, reporter: Reporter) -> tuple[Degraded, ...]:
    """Judge the clips again with their sound made worse."""
    raise NotImplementedError
