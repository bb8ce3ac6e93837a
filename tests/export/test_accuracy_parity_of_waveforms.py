"""The whole InceptionResNetV2 with its spectrogram inside: every export predicts what Keras does."""

from __future__ import annotations

import pytest

from tests.export.test_accuracy_parity import EVERYTHING, MAX_MEMORY_MB, Exports, check_tolerances, export
from train.run import Run

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def waveform_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return export(trained_run, tmp_path_factory.mktemp("waveform"), "--input", "waveform")


@EVERYTHING
def test_every_file_with_waveform_input_is_within_its_tolerances(
    form: str, recipe: str, waveform_exports: Exports
) -> None:
    check_tolerances(waveform_exports[form, recipe]["parity"])


def test_an_export_needs_less_memory_than_is_promised(waveform_exports: Exports) -> None:
    assert max(report["peak_memory_mb"] for report in waveform_exports.values()) < MAX_MEMORY_MB
