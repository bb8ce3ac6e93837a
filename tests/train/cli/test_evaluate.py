"""``tmgc-train evaluate`` as its users call it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.train.cli.conftest import one_error, tmgc_train
from train.dataset.dataset import Dataset
from train.evaluation.results import Evaluation

Evaluated = tuple[Dataset, Evaluation, Sequence[str]]
Copy = Callable[[Dataset], Dataset]


def test_evaluate_prints_the_evaluation_on_one_screen(evaluated: Evaluated, copy_of: Copy) -> None:
    dataset, result, _ = evaluated
    copy = copy_of(dataset)
    done = tmgc_train("evaluate", copy.run.folder)
    assert done.exit_code == 0, done.output
    assert result.as_text() in done.stdout
    assert len(done.stdout.splitlines()) <= 24
    assert f"report: {copy.run.report_html('test')}" in done.stderr


def test_evaluating_again_prints_the_same_as_json(evaluated: Evaluated, copy_of: Copy) -> None:
    dataset, result, _ = evaluated
    done = tmgc_train("evaluate", copy_of(dataset).run.folder, "--json")
    assert json.loads(done.stdout) == json.loads(result.to_json())


def test_a_run_that_cannot_be_written_to_is_refused_in_one_line(
    evaluated: Evaluated, copy_of: Copy, read_only: Callable[[Path], Path]
) -> None:
    folder = read_only(copy_of(evaluated[0]).run.folder)
    assert f"results go to {folder}: {folder} cannot be written to" in one_error(tmgc_train("evaluate", folder))
