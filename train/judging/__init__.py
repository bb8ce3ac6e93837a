"""How good a model is: on the songs of a split, by clip and by song, against what they really are."""

from train.judging.evaluate import Evaluation, evaluate, judge, wilson_interval

__all__ = ["Evaluation", "evaluate", "judge", "wilson_interval"]
