from collections import Counter
from pathlib import Path

import pytest
import soundfile

from benchmarks.checks.preparing import Preparing, reference_seconds, sample_clips, write_songs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:audioread")


def test_the_songs_are_different_mp3_files_of_several_genres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.checks.preparing.DIFFERENT_SONGS", 6)
    paths = write_songs(tmp_path, 8, seconds=20.0)
    assert len({path.read_bytes() for path in paths}) == 6
    assert len({path.parent.name for path in paths}) == 4
    assert {soundfile.info(path).format for path in paths} == {"MP3"}
    assert soundfile.info(paths[0]).duration == pytest.approx(20.0, abs=0.1)


@pytest.mark.parametrize(("songs", "count"), [(1500, 40), (1500, 80), (12, 40), (300, 50)])
def test_clips_of_every_offset_are_sampled_for_the_reference(songs: int, count: int) -> None:
    clips = [(Path(f"{song}.mp3"), offset) for song in range(songs) for offset in (60.0, 70.0, 80.0, 90.0)]
    found = Counter(offset for _, offset in sample_clips(clips, count))
    assert len(found) == 4
    assert max(found.values()) - min(found.values()) <= 1
    assert found.total() == pytest.approx(min(count, len(clips)), rel=0.25)


def test_the_reference_saves_a_figure_of_a_clip(tmp_path: Path) -> None:
    (path, *_) = write_songs(tmp_path, 1, seconds=20.0)
    assert reference_seconds([(path, 5.0), (path, 10.0)], tmp_path) > 0
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_ratio_is_that_of_clips_per_second() -> None:
    result = Preparing(songs=3, reference_clips=4, reference_seconds=2.0, prepared_clips=12, prepared_seconds=1.0)
    assert result.lines == (
        "reference: 2.0 clips/s (4 clips)",
        "tmgc-train prepare: 12.0 clips/s (12 clips of 3 songs)",
        "ratio: 6.0",
    )
