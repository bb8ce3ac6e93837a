"""Ray's tasks give the rows of local processes, also where a machine goes away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge_runtime.archive import ray_engine
from edge_runtime.archive.local import tag_locally
from edge_runtime.archive.ray_engine import _with_model_here
from edge_runtime.archive.song import Row, Song, Tagger, TagSettings
from tests.edge_runtime.archive.chaos import children
from tests.edge_runtime.archive.tagged import TAG, rows, tag_command, tag_library, write_copies, write_song


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each, the first of which holds the cluster together."""
    pytest.importorskip("ray", reason="no Ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        yield nodes
        nodes.shutdown()


def busy(node: Any) -> bool:
    """Whether a process of a node has worked for a while."""
    raylet = node.all_processes["raylet"][0].process.pid
    with suppress(psutil.NoSuchProcess):  # one that has just ended
        return any(child.cpu_times().user > 2.5 for child in children(raylet, "ray::_tag"))
    return False


@pytest.mark.full
def test_a_node_that_is_killed_on_the_way_costs_no_row(cluster: Any, tmp_path: Path, models: dict[str, Path]) -> None:
    music = write_copies(tmp_path / "music", 10, seconds=40.0)
    second = cluster.add_node(num_cpus=1)
    options = ["--model", str(models["tflite"]), "--windows", "all", "--engine", "ray"]
    environment = os.environ | {"RAY_ADDRESS": cluster.address}
    command = [*TAG, str(music), str(tmp_path / "out"), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as driver:
        while driver.poll() is None and not busy(second):  # a loaded machine starts Ray's processes in half a minute
            time.sleep(0.1)
        assert driver.poll() is None, "it has ended before the machine went away"
        cluster.remove_node(second, allow_graceful=False)
        _, notices = driver.communicate(timeout=1200)
    assert driver.returncode == 0, notices
    assert "Ray: 2 machine(s), 2 cores" in notices
    tag_library(music, tmp_path / "undisturbed", models["tflite"], windows=None)
    assert rows(tmp_path / "out") == rows(tmp_path / "undisturbed")


class Deadly(Tagger):
    """Some songs end its process, or never end."""

    def __call__(self, song: Song, beat: Callable[[], None]) -> Row:
        if song.path == "crash.wav":
            os.kill(os.getpid(), signal.SIGSEGV)
        if song.path == "exit.wav":
            os._exit(1)
        if song.path == "kill.wav":
            os.kill(os.getpid(), signal.SIGKILL)
        if song.path == "hang.wav":
            time.sleep(3600)
        return super().__call__(song, beat)


@pytest.mark.full
def test_songs_that_crash_hang_or_kill_their_process_have_the_rows_of_local_processes(
    cluster: Any, tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    names = ["a.wav", "crash.wav", "b.wav", "exit.wav", "c.wav", "kill.wav", "d.wav", "hang.wav", "e.wav"]
    songs = [Song(0, write_song(tmp_path / name).name, str(tmp_path), 1, 1) for name in names]
    tagger = Deadly(**vars(Tagger.of(models["tflite"], TagSettings(2))))
    ray_engine.connect()
    with_ray = {song.path: row.error for song, row in ray_engine.tag_with_ray(songs, tagger, hang_seconds=15.0)}
    local = {song.path: row.error for song, row in tag_locally(songs, tagger, workers=2, hang_seconds=15.0)}
    assert with_ray == local
    assert {name: local[name] for name in names if local[name]} == {
        "crash.wav": "the decoder crashed on it",
        "exit.wav": "the decoder crashed on it",
        "kill.wav": "not read: its process was killed each time; memory may have run out",
        "hang.wav": "the decoder hung on it for 15 s",
    }


@pytest.mark.full
def test_a_cluster_that_does_not_answer_is_told(tmp_path: Path, models: dict[str, Path]) -> None:
    (tmp_path / "music").mkdir()
    done = tag_command(
        tmp_path / "music", tmp_path / "out", "--engine", "ray", "--model", models["tflite"], RAY_ADDRESS="127.0.0.1:1"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: RAY_ADDRESS names a cluster that runs: 127.0.0.1:1 does not answer")


def test_a_machine_keeps_no_file_of_the_model(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, model = tmp_path / "temporary", tmp_path / "elsewhere.tflite"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    shutil.copy(models["tflite"], model)
    tagger = Tagger.of(model, TagSettings(2))
    model.unlink()
    here = _with_model_here(tagger, models["tflite"].read_bytes())
    assert not list(temporary.iterdir())
    song = write_song(tmp_path / "song.wav")
    assert here(Song(0, song.name, str(tmp_path), 1, 1), lambda: None).error is None
