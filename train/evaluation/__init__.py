"""Evaluation of a trained model on one split: accuracy, calibration, rejection, robustness and a baseline."""

from __future__ import annotations

from train.evaluation.evaluate import evaluate
from train.evaluation.metrics import Scores, compute_scores
from train.evaluation.results import Evaluation

__all__ = ["Evaluation", "Scores", "compute_scores", "evaluate"]
