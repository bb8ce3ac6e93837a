import pytest

from benchmarks.checks.streamed_spectrogram import time_streaming
from edge_runtime.spectrogram import SpectrogramSettings


def test_the_streamed_image_is_timed_beside_the_recomputed_one() -> None:
    result = time_streaming(SpectrogramSettings(sample_rate=11_025), windows=5, hop_seconds=1.0)
    assert 0 < result.streamed.p50_ms < result.streamed_total.p50_ms
    assert result.recomputed.p50_ms > 0
    assert len(result.recomputed.samples_ms) == 5


@pytest.mark.parametrize("hop", [1.0, 2.0])
def test_back_to_back_windows_are_timed_too(hop: float) -> None:
    result = time_streaming(SpectrogramSettings(sample_rate=11_025), windows=3, hop_seconds=hop)
    assert result.recomputed.p50_ms > 0
