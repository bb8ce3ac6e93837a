"""How good a model is: on the songs of a split, by clip and by song, against what they really are."""

from train.judging.evaluate import evaluate
from train.judging.evaluation import Evaluation
from train.judging.scores import Scores, judge

__all__ = ["Evaluation", "Scores", "evaluate", "judge"]
