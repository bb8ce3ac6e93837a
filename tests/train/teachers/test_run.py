"""A trained run is a teacher, and teachers are found by their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime import TmgcError
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Dataset
from train.teachers import hearing, joined_notices, open_teacher
from train.teachers.run import RunTeacher


def test_a_run_teaches_the_logarithms_of_its_probabilities(small_dataset: Dataset) -> None:
    teacher = open_teacher(str(small_dataset.run.folder))
    assert isinstance(teacher, RunTeacher)
    assert teacher.target_names == small_dataset.genres
    windows = np.stack([small_dataset.samples(clip) for clip in small_dataset.clips[:3]])
    targets = hearing(teacher, small_dataset.spectrogram.sample_rate)(windows)
    assert targets.shape == (3, len(small_dataset.genres))
    np.testing.assert_allclose(np.exp(targets).sum(axis=1), 1.0, atol=1e-4)


def test_an_unknown_teacher_and_an_untrained_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="a teacher is musicnn or the folder of a trained run, got musicn"):
        open_teacher("musicn")
    with pytest.raises(TmgcError, match=r"a trained run has a card\.json"):
        open_teacher(str(tmp_path))


def test_notices_of_several_licences_stand_in_a_model_card_in_one_line_and_once(card: ModelCard) -> None:
    weights, teacher = "Apache License", "ISC, Universitat Pompeu Fabra"
    both = joined_notices(weights, teacher, "")
    student = joined_notices(both, teacher)
    assert student == both == "Apache License | ISC, Universitat Pompeu Fabra"
    noted = card.replace(network={"licence": student})
    assert ModelCard.from_json(noted.to_json(), where="here") == noted
