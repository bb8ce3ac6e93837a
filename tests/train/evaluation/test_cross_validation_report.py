"""``cross-validation.html`` needs no other file, is well formed, and shows every method, genre and fold."""

from __future__ import annotations

from pathlib import Path

from tests.train.dataset.test_folds import RATIOS, dataset_of
from tests.train.evaluation.test_cross_validation import two_methods
from tests.train.evaluation.test_report import Reader
from train.dataset.folds import fold_datasets
from train.evaluation.cross_validation import cross_validation
from train.evaluation.cross_validation_report import html_report
from train.run import Run


def test_the_page_shows_every_method_genre_and_fold(tmp_path: Path) -> None:
    folds = fold_datasets(dataset_of(tmp_path, {"Caz": 30, "R&B": 30}), 5, split_ratios=RATIOS, seed=0)
    result = cross_validation(folds, two_methods(folds), {"songs": "/music", "folds": 5})
    document = html_report(result, Run(tmp_path / "cv"))
    page = Reader(document)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:") for _, address in page.addresses)
    for part in ("Caz", "R&B", "network", "SVM", "fold-5", "/music", "+40.0 points", "C=3", "10.0 % before"):
        assert part in page.text, part
    assert "demonstration only" in page.text
    assert len(list((tmp_path / "cv" / "plots").glob("cross-validation-*.png"))) == 2
