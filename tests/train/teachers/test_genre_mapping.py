from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from train.teachers.genre_mapping import NOTE, WORLD, GenreMapping, read_mapping

TAGS = ("jazz", "rock", "Hip-Hop", "hard rock")


def test_the_score_of_a_genre_is_the_log_odds_of_its_best_tag() -> None:
    mapping = GenreMapping({"Rock": ("rock", "hard rock"), "Caz": ("jazz",)})
    log_odds = np.array([[-1.0, -3.0, 9.0, -2.0], [-4.0, 0.5, 9.0, 0.0]])
    np.testing.assert_array_equal(mapping.scores(log_odds, TAGS), [[-2.0, -1.0], [0.5, -4.0]])


def test_the_mapping_that_is_used_by_default_says_which_genres_it_lacks() -> None:
    assert {"Caz", "Elektronik", "Pop", "Punk", "Rap", "Rock", "Halk", "Klasik"} < set(WORLD.genres)
    assert "Arabesk, Tasavvuf" in NOTE


def test_a_network_that_knows_fewer_tags_gets_a_part_of_the_mapping() -> None:
    assert WORLD.within(TAGS).tags_of == {"Caz": ("jazz",), "Rap": ("Hip-Hop",), "Rock": ("rock", "hard rock")}
    with pytest.raises(TmgcError, match="two genres or more with --mapping FILE"):
        WORLD.within(("jazz", "sad"))


@pytest.mark.parametrize(
    ("tag", "hint"),
    [("hip-hop", "Did you mean Hip-Hop"), ("jaz", "Did you mean jazz"), ("zurna", "It knows jazz, rock")],
)
def test_an_unknown_tag_is_refused_with_one_that_is_known(tag: str, hint: str) -> None:
    mapping = GenreMapping({"Rap": (tag,), "Rock": ("rock",)})
    with pytest.raises(TmgcError, match=f"Rap names '{tag}'. {hint}"):
        mapping.check_known(TAGS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"Caz": ["jazz"]}', "at least two different genres"),
        ('{"Caz": ["jazz"], "unknown": ["rock"]}', "not called unknown or silence"),
        ('{"Caz": ["jazz"], "Unavailable": ["rock"]}', "what Home Assistant shows"),
        ('{"Caz": ["jazz"], "caz ": ["rock"]}', "differ in more than case"),
        ('{"Caz": ["jazz"], "Rock": []}', "at least one tag: Rock has none"),
        ('{"Caz": ["jazz"], "Rock": ["jazz"]}', "jazz stands for Caz and Rock"),
        ('{"Caz": ["jazz", "jazz"], "Rock": ["rock"]}', "jazz stands twice for Caz"),
        ('{"Caz": ["jazz"], "Caz": ["rock"]}', "'Caz' stands there twice"),
        ('{"Caz": "jazz", "Rock": ["rock"]}', "the tags of 'Caz' must be a list"),
        ('{"Caz": [1], "Rock": ["rock"]}', "the tags of 'Caz' must be a list"),
        ('["jazz"]', "it is no object"),
        ("{", "is none"),
        ("[" * 5000, "is none"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "mapping.json"
    file.write_text(text, "utf-8")
    with pytest.raises(TmgcError, match=reason) as refused:
        read_mapping(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_mapping_is_read_in_the_order_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mapping.json"
    file.write_text('\ufeff{"Rock": ["rock", "hard rock"], "Caz": ["jazz"]}', "utf-8")
    assert read_mapping(file).tags_of == {"Rock": ("rock", "hard rock"), "Caz": ("jazz",)}
    with pytest.raises(TmgcError, match="is none"):
        read_mapping(tmp_path / "missing.json")
