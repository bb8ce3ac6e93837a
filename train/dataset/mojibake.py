"""Repairs text that was decoded with the wrong encoding (mojibake), as it is common in the tags of Turkish songs."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from train.dataset.discover import nfc

_ROUNDS = 5
"""Text may have been damaged several times: ``Ã…Å¸`` is ``ÅŸ``, which is ``ş``."""


def repaired(text: str) -> str:
    """Undo wrong decoding where the evidence is good; all other text is returned as it is, in Unicode's NFC.

    * UTF-8 that was decoded as Latin-1, cp1252, cp1254, or the DOS code pages 857, 850 and 437: where the bytes are
      valid UTF-8 and give letters. Hardly any name is valid UTF-8 by chance.
    * cp1254 that was decoded as Latin-1 or cp1252 (``Barýþ`` for ``Barış``): where all letters are Turkish or Kurdish
      after the repair, and ğ and ı stand where Turkish has them. This keeps Icelandic, Czech and Turkmen names, except
      for short ones without another accent (``Daði``).
    * cp857 that was decoded as Latin-1 or cp1252: where control characters or signs stand for Turkish letters.
    * UTF-16 that was decoded as Latin-1, or in the wrong byte order.
    * HTML entities.

    Parameters
    ----------
    text : str

    Returns
    -------
    text : str
    """
    text = nfc(_utf16(text))
    for _ in range(_ROUNDS):
        better = next((fixed for repair in _REPAIRS if (fixed := repair(text)) != text), text)
        if better == text:
            break
        text = better
    return nfc(text)


def decoded(raw: bytes) -> str:
    """Text of bytes without a declared encoding: UTF-8 if they are valid UTF-8, UTF-16 after its mark, else Latin-1."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    text = _as_utf8(raw)
    return raw.decode("latin-1") if text is None else text.removeprefix("\ufeff")


def _as_utf8(raw: bytes) -> str | None:
    """The text of UTF-8, without a last letter that is cut; None if the bytes are not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return raw[: error.start].decode("utf-8") if error.start and error.reason == "unexpected end of data" else None


def _bytes(text: str, codec: str) -> bytes | None:
    """Bytes that decode to the text, where undefined bytes were decoded as control characters as in Latin-1."""
    try:
        return b"".join(
            letter.encode("latin-1" if "\x80" <= letter < "\xa0" else codec, "surrogateescape") for letter in text
        )
    except UnicodeEncodeError:
        return None


def _entities(text: str) -> str:
    return re.sub(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});", lambda found: html.unescape(found[0]), text)


def _utf8(text: str, rounds: int = _ROUNDS) -> str:
    """UTF-8 that was decoded as one of several encodings with one byte a letter, once or several times."""
    if text.isascii() or not rounds:
        return text
    for codec in ("cp1252", "cp1254", "cp857", "cp850", "cp437"):
        raw = _bytes(text, codec)
        fixed = None if raw is None else _as_utf8(raw)
        if fixed is None or fixed.isascii():
            continue
        if all(map(_is_plausible, fixed)):
            return fixed
        if (deeper := _utf8(fixed, rounds - 1)) != fixed:
            return deeper
    return text


def _is_plausible(letter: str) -> bool:
    """Whether a letter is one of a name in Latin, Greek, Cyrillic, Hebrew or Arabic, with marks and quotation marks."""
    if letter.isascii():
        return letter.isprintable()
    scripts = letter < "\u0250" or "\u0370" <= letter < "\u0700" or "\u1e00" <= letter < "\u2000"
    return (scripts and letter.isalpha()) or letter in _ACCENTS or letter in "\xa0«»·´°¡¿®×–—‘’“”…•™"


_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030c\u0327\u0328"
"""Combining marks, for letters in Unicode's decomposed form."""


def _utf16(text: str) -> str:
    """UTF-16 that was decoded as Latin-1, which leaves NUL between letters, or in the wrong byte order."""
    if text.count("\0") * 4 >= len(text) >= 4 and all(letter < "\u0100" for letter in text):
        raw = text.encode("latin-1") + b"\0" * (len(text) % 2)
        big = raw[::2].count(0) > raw[1::2].count(0)
        return raw.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\ufeff\0")
    if len(text) >= 3 and sum(ord(letter) & 0xFF == 0 for letter in text.replace("\0", "")) * 2 > len(text):
        return text.encode("utf-16-be", "replace").decode("utf-16-le", "replace").strip("\ufeff\0")
    return text


_DOS_LETTERS = frozenset("çğıöşüÇĞİÖŞÜâîûÂÎÛ")
_DOS_SIGNS = re.compile(r"[\x80-\x9f]|(?<=\w)[§¦]|(?<=\w)[‡Ÿ™˜”€](?=\w)|(?<!\w)[™˜Ÿ§](?=\w)")
"""Signs that no name has where a letter follows, and that stand for Turkish letters of cp857."""


def _dos(text: str) -> str:
    """cp857 that was decoded as Latin-1 or cp1252, or else cp1252 that was decoded as Latin-1 (``’`` as a control)."""
    if not _DOS_SIGNS.search(text) or (raw := _bytes(text, "cp1252")) is None:
        return text
    for codec, letters in (("cp857", _DOS_LETTERS), ("cp1254", None)):
        try:
            fixed = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        changed = {new for old, new in zip(text, fixed, strict=True) if old != new}
        if changed <= letters if letters else "\x80" not in text:
            return fixed
    return text


_LATIN_5 = str.maketrans("ðýþÐÝÞ", "ğışĞİŞ")
"""The six letters in which cp1254 and Latin-1 differ."""

_VOWELS = "aeıioöuüâîûêAEIİOÖUÜÂÎÛÊ"
_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZçğıöşüâîûêÇĞİÖŞÜÂÎÛÊ")
_MISPLACED = re.compile(rf"(?<![{_VOWELS}])[ğĞ]|[{_VOWELS}]{{2}}[ğĞ](?![lL][uU])")
"""In Turkish, ğ follows one vowel, except for ``ioğlu`` in surnames."""

_DISHARMONIC = re.compile(rf"[{_VOWELS}]ı|ı[{_VOWELS}]|[eioöuüîûêEİOÖUÜÎÛÊ][^\W{_VOWELS}]*ı\b")
"""In Turkish, ı hardly ever ends a word after another vowel than a and ı, as the ý of Czech names does, and hardly ever
stands beside a vowel, as the ý of Turkmen names does."""


def _latin_5(text: str) -> str:
    """cp1254 or Latin-5 that was decoded as Latin-1 or cp1252, artist by artist."""
    return "".join(map(_latin_5_name, re.split(r"([;,/&+|()\[\]]| feat\b| ft\b| ve )", text)))


def _latin_5_name(name: str) -> str:
    fixed = name.translate(_LATIN_5)
    if fixed == name or any(letter.isalpha() and letter not in _ALPHABET for letter in fixed):
        return name
    if set(name) & set("ğışĞİŞ") or _MISPLACED.search(fixed):
        return name
    only_y = not set(name) & set("ðþÐÝÞ")
    return name if only_y and _DISHARMONIC.search(fixed) else fixed


_REPAIRS: tuple[Callable[[str], str], ...] = (_utf16, _entities, _utf8, _dos, _latin_5)
