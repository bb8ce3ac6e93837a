"""A list of clips that somebody has changed by hand is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime import SpectrogramSettings, TmgcError
from train.corpus import Clip, Corpus, read_corpus, write_clips, write_settings
from train.preparing.prepare import magma
from train.run import Run


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    clips = tuple(
        Clip(f"{genre}{number}", (song := f"{genre}/{number}.mp3"), genre, "train", 60.0, 0.5, -20.0, group=song)
        for genre in ("Caz", "Halk")
        for number in range(2)
    )
    made = Corpus(Run(tmp_path), ("Caz", "Halk"), SpectrogramSettings(), magma(), False, clips)
    write_settings(made)
    write_clips(made)
    return made


def test_what_was_written_is_read(corpus: Corpus) -> None:
    assert read_corpus(corpus.run).clips == corpus.clips


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (",0.500000,", ",nan,"),
        (",0.500000,", ",inf,"),
        (",0.500000,", ",-5,"),
        (",train,", ",exam,"),
        ("Caz,", "Cazz,"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(before: str, after: str, corpus: Corpus) -> None:
    path = corpus.run.corpus_csv
    path.write_text(path.read_text("utf-8").replace(before, after), "utf-8")
    with pytest.raises(TmgcError, match="tmgc-train prepare"):
        read_corpus(corpus.run)


@pytest.mark.parametrize("genres", ["CazHalk", ["Caz", "Halk", "Halk"], 3, None])
def test_genres_that_cannot_be_are_refused(genres: object, corpus: Corpus) -> None:
    path = corpus.run.corpus_json
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"genres": genres}), "utf-8")
    with pytest.raises(TmgcError, match="tmgc-train prepare"):
        read_corpus(corpus.run)
