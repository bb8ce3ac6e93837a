from pathlib import Path

import pytest
import soundfile

from benchmarks.preparing import original_seconds, write_songs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:audioread")


def test_the_songs_are_different_mp3_files_of_several_genres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.preparing.DIFFERENT_SONGS", 6)
    paths = write_songs(tmp_path, 8, seconds=20.0)
    assert len({path.read_bytes() for path in paths}) == 6
    assert len({path.parent.name for path in paths}) == 4
    assert {soundfile.info(path).format for path in paths} == {"MP3"}
    assert soundfile.info(paths[0]).duration == pytest.approx(20.0, abs=0.1)


def test_the_original_saves_a_figure_of_a_clip(tmp_path: Path) -> None:
    (path, *_) = write_songs(tmp_path, 1, seconds=20.0)
    assert original_seconds([(path, 5.0), (path, 10.0)], tmp_path) > 0
    assert (tmp_path / "figure.png").stat().st_size > 10_000
