import pytest
from click.testing import CliRunner

from benchmarks.checks.listening import measure_streamed as measure
from benchmarks.checks.listening import streamed as main
from edge_runtime.spectrogram import SpectrogramSettings


def test_the_streamed_picture_is_timed_beside_the_recomputed_one() -> None:
    times = measure(SpectrogramSettings(sample_rate=11_025), windows=5, hop_seconds=1.0)
    assert 0 < times.streamed_ms < times.streamed_in_all_ms
    assert times.recomputed_ms > 0


def test_it_prints_both_their_ratio_and_the_machine() -> None:
    done = CliRunner().invoke(main, ["--windows", "3", "--sample-rate", "11025"], catch_exceptions=False)
    assert [line.split(":")[0] for line in done.output.splitlines()[1:6]] == [
        "recomputed",
        "streamed, after the last sample",
        "streamed, in all",
        "ratio after the last sample",
        "ratio in all",
    ]
    assert "Python" in done.output.splitlines()[-1]


def test_a_rate_that_is_none_is_one_line() -> None:
    done = CliRunner(catch_exceptions=False).invoke(main, ["--sample-rate", "0"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: spectrogram setting sample_rate")


@pytest.mark.parametrize("hop", [1.0, 2.0])
def test_back_to_back_windows_are_timed_too(hop: float) -> None:
    assert measure(SpectrogramSettings(sample_rate=11_025), windows=3, hop_seconds=hop).recomputed_ms > 0
