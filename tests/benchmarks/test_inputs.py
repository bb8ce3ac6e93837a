from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.documents import from_document, to_document
from benchmarks.inputs import MOST_EXCERPTS, Excerpt, excerpts_of_file, excerpts_of_run
from edge_runtime.errors import TmgcError
from train.run import Run


def write(path: Path, seconds: float, *, rate: int = 8_000) -> Path:
    soundfile.write(path, np.zeros(round(seconds * rate), np.float32), rate)
    return path


def test_a_run_gives_its_test_clips_without_their_margin(tiny_run: Run) -> None:
    excerpts = excerpts_of_run(tiny_run)
    assert [excerpt.file.stem for excerpt in excerpts] == [f"clip{number}" for number in range(5)]
    assert {excerpt.start_s for excerpt in excerpts} == {0.25}


def test_a_run_without_clips_is_told_to_name_a_file(tmp_path: Path, light_run: Run) -> None:
    with pytest.raises(TmgcError, match="--audio"):
        excerpts_of_run(Run(tmp_path))
    for path in light_run.clips.iterdir():
        path.unlink()
    with pytest.raises(TmgcError, match="--audio"):
        excerpts_of_run(light_run)


def test_a_file_gives_windows_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    starts = [excerpt.start_s for excerpt in excerpts_of_file(write(tmp_path / "a.wav", 100.0))]
    assert len(starts) == MOST_EXCERPTS
    assert (starts[0], starts[-1]) == (0.0, 98.0)


def test_a_file_of_exactly_one_window_is_enough_and_a_shorter_one_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", 2.0)
    assert excerpts_of_file(path) == [Excerpt(path, 0.0)]
    with pytest.raises(TmgcError, match=r"holds 1\.90 s"):
        excerpts_of_file(write(tmp_path / "b.wav", 1.9))


def test_an_excerpt_survives_its_way_to_another_process() -> None:
    excerpt = Excerpt(Path("song.mp3"), 1.5)
    assert from_document(Excerpt, to_document(excerpt)) == excerpt
