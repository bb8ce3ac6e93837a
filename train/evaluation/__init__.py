"""How good a model is: on the songs of a split, by clip and by song, against what they really are."""

from __future__ import annotations

from train.evaluation.evaluate import evaluate
from train.evaluation.metrics import Scores, compute_scores
from train.evaluation.results import Evaluation

__all__ = ["Evaluation", "Scores", "compute_scores", "evaluate"]
