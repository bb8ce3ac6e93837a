"""``beet tmgc`` classifies the songs of a real beets library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mutagen
import pytest

from edge_runtime import ModelCard
from export.metadata import write_with_card
from tests.edge_runtime.archive.tagged import write_library
from tests.edge_runtime.conftest import write_graph

pytest.importorskip("beets", reason="beets is not installed")


class Beets:
    """A library of beets with three songs, of which one cannot be read."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.music = write_library(folder / "music", 3)
        self.configure()
        self("import", "--quiet", "--noautotag", "--nocopy", str(self.music))
        (self.music / "00" / "0002.mp3").write_bytes(b"no song")

    def configure(self, **settings: object) -> None:
        lines = [f"  {name}: {value}" for name, value in {"model": self.model, "windows": 2, **settings}.items()]
        text = "\n".join(["plugins: tmgc", "library: library.db", "tmgc:", *lines])
        (self.folder / "config.yaml").write_text(text)

    def __call__(self, *arguments: str) -> str:
        """The output of ``beet``."""
        command = [sys.executable, "-m", "beets", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"BEETSDIR": str(self.folder)}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def fields(self, field: str) -> list[str]:
        return self("list", "--format", f"[${field}]", "path+").splitlines()


@pytest.fixture
def beets(card: ModelCard, tmp_path: Path) -> Beets:
    graph, model = write_graph("tflite", tmp_path / "graph.tflite", card.spectrogram), tmp_path / "model.tflite"
    write_with_card(graph, card, model)
    return Beets(tmp_path, model)


def test_genres_are_set_and_written_and_never_over_others(beets: Beets) -> None:
    beets.configure(min_confidence=0)
    beets("modify", "--yes", "--nowrite", "path::0001", "genres=Fasıl")
    assert "this song" in beets("tmgc"), "why one cannot be read"
    first, second, third = beets.fields("genres")
    assert (second, third) == ("[Fasıl]", "[]")
    assert first[1:-1] in ("Halk", "Caz", "Rock")
    song: Any = mutagen.File(beets.music / "00" / "0000.mp3", easy=True)
    assert song["genre"] == [first[1:-1]]
    beets.configure(min_confidence=0, overwrite=True)
    beets("tmgc", "path::0001")
    assert beets.fields("genres")[1] != "[Fasıl]"


@pytest.mark.full
def test_a_flexible_attribute_stays_in_the_library(beets: Beets) -> None:
    before = (beets.music / "00" / "0000.mp3").read_bytes()
    beets.configure(min_confidence=0, field="tmgc_genre")
    beets("tmgc", "path::0000")
    assert beets.fields("tmgc_genre")[0][1:-1] in ("Halk", "Caz", "Rock")
    assert beets.fields("genres") == ["[]"] * 3
    assert (beets.music / "00" / "0000.mp3").read_bytes() == before


@pytest.mark.full
def test_an_unsure_genre_is_not_kept(beets: Beets) -> None:
    beets.configure(min_confidence=1.0)
    assert "not kept" in beets("-v", "tmgc", "path::0000")
    assert beets.fields("genres") == ["[]"] * 3
