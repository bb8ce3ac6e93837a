"""Tells which songs have an artist in common, from artists as tags spell them."""

from __future__ import annotations

import re
import sys
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from train.dataset.tags import ELLIPSIS

_NOBODY = re.compile(
    r"""
    (?:various|unknown|unbekannte?r?|diverse|divers|verschiedene?|no|different|multiple)
        (?:\ (?:artists?|interpreten?))?
    | (?:cesitli|bilinmeyen|bilinmiyor|muhtelif|karisik|karma|farkli|isimsiz|adsiz)
        (?:\ (?:sanatci|yorumcu|icraci)(?:lar)?)?
    | (?:album\ )?(?:artist|sanatci|yorumcu|icraci|performer|composer)(?:s|lar)?
    | v\ ?a | n\ ?a | none | null | nan | undefined | default | other | misc | test | empty | yok | bos | diger
    | anonim | anonymous | trad(?:itional)? | geleneksel | halk | derleme | toplama | compilations?
    | (?:original\ )?soundtrack | ost | karaoke | enstrumantal | instrumental
    | (?:(?:audio|cd|new)\ ?)?(?:track|parca|sarki|kayit|song|title|baslik|ses)(?:\ ?\d+)?
    | \d{1,2}""",
    re.VERBOSE,
)
"""What programs and people write where there is no one artist, folded."""

_NO_NAME = re.compile(
    r"the|and|ve|dj|mc|feat|ft|jr|sr|ark|grup|grubu|koro|korosu|band|group|choir|chorus|ensemble|others|guests?|konuk"
    r"|(?:ve )?digerleri|(?:his |her |the )?(?:orchestra|friends|band)|orkestra(?:si)?|(?:saz )?arkadaslari|saz heyeti"
    r"|saz ekibi|ekibi|toplulugu|topic|official|vevo|live|canli|cover|remix|akustik|acoustic|lyrics|\d+"
)
"""Parts of a tag, folded, that name nobody on their own."""

_IGNORED = {"the", "official", "vevo"}
"""Words that make no other artist."""

_ADDRESS = re.compile(r"\S*(?:https?:|\bwww\.|\w\w\.(?:com|net|org|info|biz)\b)\S*")
"""Sites sign the tags of what they distribute."""

_SEPARATOR = re.compile(
    r"""\s*[;|/\\•·+&×~\0]\s*
    | \s+[-–—]+\s* | [-–—]+\s+
    | [\s(\[]+ (?:feat(?:uring)?|ft|vs|versus|w/|duet(?:\ with)?|konuk(?:\ sanatci)?|sunar|pres(?:ents)?)(?!\w)[.:]?\s*
    | [\s(\[]+ (?:ve|and|with|ile|und|u|x) \s+""",
    re.VERBOSE,
)
"""Stands between artists, in folded text."""

_BRACKETS = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]?")
_LETTERS = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ə": "e"})
_APOSTROPHES = re.compile(r"['’‘`´ʼ]")

_ID3V1_LETTERS = 30
"""A name of so many letters may be one that ID3v1 had no space for."""

_SURE_LETTERS, _LOST_LETTERS = 4, 12
"""An incomplete name has at least as many known letters and at most as many lost ones, or fits too many names."""


def artist_keys(artists: Sequence[str]) -> list[tuple[str, ...]]:
    """Keys of the artists that each song names: songs that share a key have an artist in common.

    * A key ignores case (``I`` is the capital of ı and i: tags do not name their language), diacritics, punctuation,
      ``The`` and the order of words: ``GÜRSES, MÜSLÜM`` is ``Muslum Gurses``.
    * Each artist of ``A & B``, ``A, B``, ``A feat. B``, ``A ve B`` and so on has a key, and so has the whole, which may
      be the name of a band. Parts that name nobody, such as one letter or ``Orkestrası``, have none.
    * One word beside one comma may be a surname. It has a key only where it is a whole name elsewhere.
    * A name that goes on (``…``) or has lost letters (``Ne?et Erta?``) also has the keys of all complete names that
      it fits.
    * ``Various Artists``, ``Bilinmeyen Sanatçı``, ``Anonim``, ``Track 01``, addresses of sites and the like have none.

    It prefers one group too many to an artist in two splits: ``Simon & Garfunkel`` is also ``Simon``.

    Parameters
    ----------
    artists : sequence of str
        For each song, as :func:`train.dataset.tags.read_artists` returns them. An empty one has no key.

    Returns
    -------
    keys : list of tuple of str [length=len(artists)]
        The first artist's key is the first.
    """
    named = [[name for artist in text.split(";") for name in _names(artist.strip())] for text in artists]
    known = {name.text: name.key for names in named for name in names if name.sure and not name.lost}
    whole = set(known.values())
    texts = sorted(known)
    fitting = {name.pattern: _fitting(name, texts) for names in named for name in names if name.pattern}
    return [
        tuple(
            dict.fromkeys(
                key
                for name in names
                if name.sure or name.key in whole
                for key in (*(known[text] for text in fitting.get(name.pattern, ())), name.key)
            )
        )
        for names in named
    ]


def _fitting(name: _Name, texts: Sequence[str]) -> list[str]:
    """The longest of the sorted texts first that an incomplete name may be."""
    begin, end = (bisect_left(texts, bound) for bound in (name.prefix, name.prefix + chr(sys.maxunicode)))
    return sorted((text for text in texts[begin:end] if re.fullmatch(name.pattern, text)), key=len, reverse=True)


class _Name(NamedTuple):
    text: str
    """Folded."""
    key: str
    pattern: str
    """Regular expression of the complete names that an incomplete one may be; empty if it is complete."""
    prefix: str
    """The text before the first letter that was lost."""
    lost: int
    """Letters that were lost."""
    sure: bool = True
    """Whether it is an artist for certain, not a surname."""


def _names(artist: str) -> list[_Name]:
    """The artists of a tag: each of its parts, and the whole."""
    folded = _ADDRESS.sub(" ", _folded(artist.removesuffix(ELLIPSIS)))
    parts = [part for piece in _SEPARATOR.split(folded) for part in _at_hyphens(piece) if _words(part)]
    whole = " ".join(_words(_BRACKETS.sub(" ", folded)))
    nobody = [_is_nobody(part) for part in parts]
    goes_on = artist.endswith(ELLIPSIS) or len(artist) == _ID3V1_LETTERS
    if not parts or _NOBODY.fullmatch(whole):
        return []
    names: list[_Name] = []
    for part, nobodys in zip(parts, nobody, strict=True):
        if not nobodys:
            names += _of_part(part, is_whole=len(parts) == 1, goes_on=goes_on and part is parts[-1])
    if len(parts) > 1 and not any(nobody):
        names += _name(whole, goes_on=goes_on)
    return names


def _at_hyphens(part: str) -> list[str]:
    """The names in ``Sezen Aksu-Onno Tunç``, but ``Jean-Michel Jarre`` as it is."""
    pieces = re.split("[-–—]", part)
    return pieces if all(len(_words(piece)) > 1 for piece in pieces) else [part]


def _of_part(part: str, *, is_whole: bool, goes_on: bool) -> list[_Name]:
    """The artists of a part that holds commas at most: ``Aksu, Sezen``, or ``Mazhar, Fuat, Özkan``."""
    part = _BRACKETS.sub(" ", part) if _words(_BRACKETS.sub(" ", part)) else part
    pieces = [piece for piece in part.split(",") if _words(piece)]
    names = _name(part, goes_on=goes_on)
    if len(pieces) == 1:
        return names if is_whole or _is_name(part) else []
    surname = len(pieces) == 2
    for piece in pieces:
        if _is_name(piece) and not _is_nobody(piece):
            sure = not surname or len(_words(piece)) > 1
            names += [name._replace(sure=sure) for name in _name(piece, goes_on=goes_on and piece is pieces[-1])]
    return names


def _folded(text: str) -> str:
    """Lower case without diacritics; punctuation is kept, and ``?`` stands for letters that were lost."""
    text = unicodedata.normalize("NFKD", text.replace("I", "i").replace("\ufffd", "?").casefold())
    text = "".join(letter for letter in text if not unicodedata.combining(letter)).translate(_LETTERS)
    return _APOSTROPHES.sub("", text)


def _words(text: str) -> list[str]:
    """Words of folded text. Words of one or two letters in a row are one, so that ``M.F.Ö.`` is ``MFÖ``."""
    words: list[str] = []
    short = False
    for word in re.findall(r"(?:[^\W_]|\?)+", text):
        if not word.strip("?"):
            continue
        if short and len(word) <= 2:
            words[-1] += word
        else:
            words.append(word)
        short = len(word) <= 2
    return words


def _name(text: str, *, goes_on: bool) -> list[_Name]:
    """The name of folded text, if it has one."""
    words = _words(text)
    words = [word for word in words if word not in _IGNORED] or words
    written = " ".join(words)
    plain, lost, pattern = written.replace("?", ""), written.count("?"), ""
    if (goes_on or lost) and len(plain) >= _SURE_LETTERS and lost <= _LOST_LETTERS:
        pattern = re.sub(r"(?:\\\?)+", _lost, re.escape(written)) + (".*" if goes_on else "")
    return [_Name(plain, " ".join(sorted(plain.split())), pattern, written.partition("?")[0], lost)] if plain else []


def _lost(marks: re.Match[str]) -> str:
    """A question mark stands for a lost letter or for one of its two bytes, or is one."""
    return f".{{0,{len(marks[0]) // 2}}}"


def _is_name(text: str) -> bool:
    """Whether a part of a tag names somebody on its own."""
    words = " ".join(_words(text))
    return (len(words) > 2 or any(map(str.isdigit, words))) and not _NO_NAME.fullmatch(words)


def _is_nobody(text: str) -> bool:
    return _NOBODY.fullmatch(" ".join(_words(text))) is not None
