"""Folders of splits are recognised by their names, and no genre is taken for one."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from train.dataset.layout import Layout, split_called


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("TRAIN", "train"),
        ("TRAİNİNG", "train"),
        ("training_set", "train"),
        ("01 - Train Data", "train"),
        ("Eğitim", "train"),
        ("EĞİTİM VERİSİ", "train"),
        ("egitim", "train"),
        ("val", "validation"),
        ("Valid", "validation"),
        ("dev-set", "validation"),
        ("eval", "validation"),
        ("doğrulama kümesi", "validation"),
        ("test", "test"),
        ("test ", "test"),
        ("Testing", "test"),
        ("SINAMA", "test"),
        ("Caz", None),
        ("Trainspotting", None),
        ("Soul Train", None),
        ("Test Müziği", None),
        ("set", None),
        ("", None),
    ],
)
def test_splits_are_known_by_their_english_and_turkish_names(folder: str, split: str | None) -> None:
    assert split_called(folder) == split


@pytest.mark.parametrize(
    ("songs", "layout"),
    [
        (["train/Caz/1.mp3", "test/Caz/1.mp3"], "<split>/<genre>"),
        (["train/Caz/1.mp3", "val/Caz/1.mp3", "extra/Caz/1.mp3"], "<split>/<genre>"),
        (["Caz/train/1.mp3", "Caz/test/1.mp3", "Halk/train/1.mp3"], "<genre>/<split>"),
        (["Caz/train/1.mp3", "Caz/test/1.mp3", "Halk/1.mp3"], "<genre>"),
        (["Caz/train/1.mp3", "Caz/test/1.mp3", "Halk/live/1.mp3"], "<genre>"),
        (["train/1.mp3", "Halk/1.mp3"], "<genre>"),
        (["test/1.mp3", "dev/1.mp3"], "<genre>"),
        (["Caz/1.mp3", "Halk/album/1.mp3"], "<genre>"),
        ([], "<genre>"),
    ],
)
def test_folders_are_splits_where_one_is_that_of_train_and_another_of_the_rest(songs: list[str], layout: str) -> None:
    assert str(Layout.of(list(map(PurePosixPath, songs)))) == layout
