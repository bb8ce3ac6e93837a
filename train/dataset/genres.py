"""The names of genres: what a folder is called in whatever encoding, and which names can stand side by side."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache
from logging import getLogger

from edge_runtime.errors import TmgcError
from edge_runtime.predictions import SILENCE, UNKNOWN

_log = getLogger("tmgc.dataset")

RESERVED = {
    UNKNOWN: "the answer where no genre is probable enough",
    SILENCE: "the answer where there is no sound",
    "unavailable": "what Home Assistant shows for a device that is away",
    "none": "what Home Assistant shows where there is no value",
}
"""Names, in the spelling of :func:`name_key`, that mean something else where the genre is shown."""

_LEGACY_ENCODINGS = ("cp1254", "cp857")
"""Of Turkish Windows and of its console, whose bytes a zip file brings along. ISO 8859-9 has the same letters as the
first. No byte is a Turkish letter in both."""

_TURKISH = frozenset("çğıöşüÇĞİÖŞÜâîûÂÎÛ")

_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet takes a cell that begins so for a formula."""


@lru_cache(maxsize=4096)
def genre_name(folder: str) -> str:
    """The genre that a folder is called after.

    A name that is not UTF-8 is read as Windows-1254 or code page 857, whichever gives more Turkish letters. The name is
    in Unicode's composed form (NFC), with single spaces, without spaces at its ends and without invisible characters.

    Parameters
    ----------
    folder : str
        Name as the file system spells it; undecodable bytes as surrogates.

    Returns
    -------
    genre : str
        Printable. Empty if the name has no letter and no digit, or is in no encoding that is known.
    """
    visible = "".join(letter for letter in _spelling(folder) if letter.isprintable() or letter.isspace())
    genre = unicodedata.normalize("NFC", " ".join(visible.split()))
    return genre if any(map(str.isalnum, genre)) else ""


def name_key(genre: str) -> str:
    """A key that is equal for names that differ only in case, spaces, dots at the end, or Unicode's form.

    The dots of i count for nothing: I is the capital of ı in Turkish and of i in other languages.
    """
    folded = unicodedata.normalize("NFKC", genre_name(genre)).casefold().replace("i\u0307", "i").replace("ı", "i")
    return " ".join(folded.split()).strip(" .")


def quoted(folder: str) -> str:
    """A folder's name in quotes, with escapes for what cannot be seen or is not UTF-8."""
    text = os.fsencode(folder).decode("utf-8", "backslashreplace")
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text) + "'"


def check_genre_names(songs: Mapping[str, int]) -> None:
    """Check that the genres of folders have names that people, files and brokers can tell apart.

    Folders whose names differ in the encoding or in Unicode's form (NFC, NFD) are one genre. What a folder is read as,
    where that is not plain, and names that are nearly the same are logged to ``tmgc.dataset``.

    Parameters
    ----------
    songs : mapping of str to int
        Number of songs by the name of a genre's folder.

    Raises
    ------
    TmgcError
        A name cannot be read, is reserved, begins as a formula does, or differs from another only in case or spaces.
    """
    for folder in sorted(songs):
        if genre_name(folder) != unicodedata.normalize("NFC", folder) and genre_name(folder):
            _log.warning("the folder %s is the genre %s", quoted(folder), genre_name(folder))
    for folder, count in sorted(songs.items()):
        _check_name(folder, count)
    _check_collisions(songs)
    for names in _alike({genre_name(folder) for folder in songs}, _loose_key):
        _log.warning("%s look like one genre: if they are, merge their folders", " and ".join(sorted(names)))


def _check_name(folder: str, songs: int) -> None:
    genre, found = genre_name(folder), f"{quoted(folder)} ({songs} songs)"
    if not genre:
        raise TmgcError(f"a genre's folder needs a name with letters, in UTF-8: {found} has none. Rename the folder")
    if meaning := RESERVED.get(name_key(folder)):
        raise TmgcError(f"a genre cannot be called {genre}, which is {meaning}: found {found}. Rename the folder")
    if genre.startswith(_FORMULA):
        raise TmgcError(
            f"a genre's name cannot begin with {' '.join(_FORMULA)}, as a spreadsheet's formula does: found {found}. "
            "Rename the folder"
        )


def _check_collisions(songs: Mapping[str, int]) -> None:
    """Refuse genres that would be one for a person, or for a file system that ignores case."""
    of_spelling: dict[str, int] = defaultdict(int)
    shown: dict[str, str] = {}
    for folder, count in songs.items():
        spelling = _spelling(folder)
        of_spelling[spelling] += count
        shown.setdefault(spelling, quoted(folder))
    if collisions := _alike(of_spelling, name_key):
        lists = (", ".join(f"{shown[each]} ({of_spelling[each]} songs)" for each in sorted(c)) for c in collisions)
        raise TmgcError(
            "genres must have names that differ in more than case, spaces and the dots of i: found "
            f"{'; '.join(lists)}. Merge the folders of one genre, or rename them"
        )


def _alike(names: Mapping[str, int] | set[str], key: Callable[[str], str]) -> list[list[str]]:
    """Lists of two or more names that have the same key."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return [found for _, found in sorted(groups.items()) if len(found) > 1]


def _loose_key(genre: str) -> str:
    """A key without accents, spaces and punctuation: ``Hip-Hop`` and ``hiphop``, ``Özgün`` and ``Ozgun``."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name_key(genre))))


def _spelling(folder: str) -> str:
    """The folder's name decoded, in Unicode's composed form; empty if no encoding fits."""
    try:
        return unicodedata.normalize("NFC", os.fsencode(folder).decode("utf-8"))
    except UnicodeDecodeError:
        readings = (_decoded(os.fsencode(folder), encoding) for encoding in _LEGACY_ENCODINGS)
        return max(readings, key=lambda text: (bool(text), sum(letter in _TURKISH for letter in text)))


def _decoded(name: bytes, encoding: str) -> str:
    """The name in an encoding; empty if that does not fit."""
    try:
        text = name.decode(encoding)
    except UnicodeDecodeError:
        return ""
    return unicodedata.normalize("NFC", text)
