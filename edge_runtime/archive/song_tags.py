"""One field of a song's tags, in each format: read, set, restored, and saved to a copy of the song."""

from __future__ import annotations

import shutil
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from edge_runtime.archive.audio_part import comment_block, id3_size, mp4_tags
from edge_runtime.archive.id3_frames import Frame, Id3Tag, as_tag, parse_id3
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from mutagen import PaddingInfo

Item = TypeVar("Item")

GENRE = "GENRE"
"""The field that players show as genre; other names are fields of their own."""

SEPARATOR_V23 = "/"
"""Between several values in ID3v2.3, whose text frames hold one: as its definition says for lists of names."""

_SAVED = 3
"""Times at most, until a copy has the size that it shall have: Ogg needs a byte more for each 255 of padding."""


class SongTags(ABC):
    """One field of the tags of a song.

    Attributes
    ----------
    field : str
    kind : str
        Of :func:`~edge_runtime.archive.audio_part.audio_hash`.
    had_tags : bool
        Whether the song has tags.
    """

    field: str
    kind: str
    had_tags = True

    @property
    @abstractmethod
    def values(self) -> list[str]:
        """What the field holds, for people; empty where there is none."""

    @property
    @abstractmethod
    def stored(self) -> Any:
        """What the field holds, as a value of JSON for :meth:`restore`; None where it is not there."""

    def holds(self, stored: Any) -> bool:
        """Whether the field holds what :attr:`stored` was, wherever that stood among other tags."""
        return bool(self.stored == stored)

    @property
    @abstractmethod
    def others(self) -> object:
        """All other tags, to be compared."""

    @property
    def elsewhere(self) -> list[str]:
        """Genres in further tags that players may read, and that are not written."""
        return []

    @abstractmethod
    def set(self, values: Sequence[str]) -> None:
        """Replace what the field holds by at least one value."""

    @abstractmethod
    def restore(self, stored: Any) -> None:
        """Have the field hold what :attr:`stored` was; remove it for None."""

    @abstractmethod
    def save(self, copy: Path, *, size: int | None = None, keep_tags: bool = True) -> None:
        """Write a copy of the song, with these tags.

        Parameters
        ----------
        copy : Path
            An empty file.
        size : int, optional
            Bytes that the copy shall have, if padding allows it.
        keep_tags : bool
            False removes the tags, of which nothing but the field may be left.
        """


class _Id3(SongTags):
    """Of the tag only the frames of the field are made anew."""

    kind = "id3"

    def __init__(self, path: Path, field: str, new_version: int) -> None:
        self._path, self.field = path, field
        self._key = "TCON" if field == GENRE else f"TXXX:{field}"
        with path.open("rb") as file:
            self._size = id3_size(file)
            file.seek(0)
            tag = file.read(self._size)
        if tag and len(tag) < self._size:
            raise TmgcError("its ID3 tag is cut: it is left as it is")
        self.had_tags = self._size > 0
        self._tag = parse_id3(tag) if tag else self._from_v1(new_version)

    def _from_v1(self, version: int) -> Id3Tag:
        """A new tag, which holds what an ID3v1 tag says: most players read ID3v2 alone then."""
        from mutagen.id3 import ID3, ID3NoHeaderError

        try:
            return _made(ID3(self._path, translate=False, v2_version=version), version)
        except ID3NoHeaderError:
            return Id3Tag(version, 0, [])

    def _is_field(self, frame: Frame) -> bool:
        return frame.name.decode() == self._key or (frame.name == b"TXXX" and self._key in self._read(frame))

    def _read(self, frame: Frame) -> Mapping[str, Any]:
        """What mutagen makes of a frame: nothing where it cannot."""
        from mutagen.id3 import ID3

        return cast(Mapping[str, Any], ID3(BytesIO(as_tag([frame], self._tag)), translate=False, load_v1=False))

    @property
    def values(self) -> list[str]:
        found = list[str]()
        for frame in filter(self._is_field, self._tag.frames):
            read = self._read(frame).get(self._key)
            if read is None:  # still something that must not get lost
                found += _texts([frame.data.decode("utf-8", "replace").strip("\0\1\2\3 ")])
            else:
                found += _texts(read.genres if self._key == "TCON" else read.text)
        return found

    @property
    def elsewhere(self) -> list[str]:
        from mutagen.apev2 import APENoHeaderError, APETextValue, APEv2
        from mutagen.id3 import ID3, ID3NoHeaderError

        found = []
        if self.field == GENRE and not self.values:
            try:
                v1 = ID3(BytesIO(self._end()), translate=False)
                found += _texts(v1["TCON"].genres) if "TCON" in v1 else []
            except ID3NoHeaderError:
                pass
        try:
            value = APEv2(self._path).get(self.field)
            found += _texts(value) if isinstance(value, APETextValue) else []
        except APENoHeaderError:
            pass
        return found

    def _end(self) -> bytes:
        """Where an ID3v1 tag stands."""
        with self._path.open("rb") as file:
            file.seek(max(self._size, file.seek(0, 2) - 128))
            return file.read()

    @property
    def stored(self) -> Any:
        frames = enumerate(self._tag.frames)
        return [[place, b"".join(frame).hex()] for place, frame in frames if self._is_field(frame)] or None

    def holds(self, stored: Any) -> bool:
        return _without_places(self.stored) == _without_places(stored)

    @property
    def others(self) -> object:
        return [frame for frame in self._tag.frames if not self._is_field(frame)]

    def set(self, values: Sequence[str]) -> None:
        from mutagen.id3 import ID3, TCON, TXXX

        is_v23 = self._tag.version == 3  # which has neither several values nor UTF-8
        text = [SEPARATOR_V23.join(values)] if is_v23 else list(values)
        content = {"encoding": 1 if is_v23 else 3, "text": text}
        made = ID3()
        made.add(TCON(**content) if self._key == "TCON" else TXXX(desc=self.field, **content))
        place = _first_place(self.stored, len(self._tag.frames))
        self._replace(enumerate(_made(made, self._tag.version).frames, start=place))

    def restore(self, stored: Any) -> None:
        frames = ((place, bytes.fromhex(frame)) for place, frame in stored or ())
        self._replace((place, Frame(frame[:4], frame[4:6], frame[6:])) for place, frame in frames)

    def _replace(self, frames: Iterable[tuple[int, Frame]]) -> None:
        """Exchange the frames of the field for others in their places."""
        others = [frame for frame in self._tag.frames if not self._is_field(frame)]
        self._tag = self._tag._replace(frames=_inserted(others, frames))

    def save(self, copy: Path, *, size: int | None = None, keep_tags: bool = True) -> None:
        with self._path.open("rb") as song, copy.open("wb") as file:
            if keep_tags:
                length = song.seek(0, 2) - self._size
                file.write(self._tag.render(self._size if size is None else size - length))
            song.seek(self._size)
            shutil.copyfileobj(song, file, 1 << 20)


def _made(tags: Any, version: int) -> Id3Tag:
    """The tag that mutagen makes."""
    made = BytesIO()
    tags.save(made, v1=0, v2_version=version, v23_sep=None)
    return parse_id3(made.getvalue())


class _Vorbis(SongTags):
    """FLAC, and Vorbis and Opus in Ogg."""

    def __init__(self, file: Any, field: str) -> None:
        self._file, self.field = file, field
        self.kind = "flac" if type(file).__name__ == "FLAC" else "ogg"
        self.had_tags = file.tags is not None
        if not self.had_tags:
            file.add_tags()
        self._tags = file.tags
        if self.had_tags and not self._is_understood():
            raise TmgcError("its tags hold what is no Vorbis comment in UTF-8, and would be lost: it is left as it is")

    def _is_understood(self) -> bool:
        """Whether the tags, written again, would be the same bytes."""
        block = comment_block(Path(self._file.filename), self.kind)
        if self.kind == "flac":
            return bool(block == self._tags.write(framing=False))
        begin = b"OpusTags" if block.startswith(b"OpusTags") else b"\x03vorbis"
        known = begin + self._tags.write(framing=begin != b"OpusTags")
        padding = block[len(known) :]
        is_kept = begin == b"OpusTags" and padding[:1] and padding[0] & 1  # as the format of Opus says
        return block.startswith(known) and bool(is_kept or not any(padding))

    def _is_field(self, pair: Sequence[str]) -> bool:
        return pair[0].upper() == self.field

    @property
    def values(self) -> list[str]:
        return _texts(value for _, _, value in self.stored or ())

    @property
    def stored(self) -> Any:
        return [[place, *pair] for place, pair in enumerate(self._tags) if self._is_field(pair)] or None

    def holds(self, stored: Any) -> bool:
        return _without_places(self.stored) == _without_places(stored)

    @property
    def others(self) -> object:
        return self._tags.vendor, [pair for pair in self._tags if not self._is_field(pair)]

    def set(self, values: Sequence[str]) -> None:
        first = _first_place(self.stored, len(self._tags))
        self.restore([[place, self.field, value] for place, value in enumerate(values, start=first)])

    def restore(self, stored: Any) -> None:
        others = [pair for pair in self._tags if not self._is_field(pair)]
        self._tags[:] = _inserted(others, ((place, (name, value)) for place, name, value in stored or ()))

    def save(self, copy: Path, *, size: int | None = None, keep_tags: bool = True) -> None:
        if not keep_tags:
            self._file.metadata_blocks.remove(self._tags)
            self._file.tags = None
        _save_to(copy, self._file, size)


class _Mp4(SongTags):
    kind = "mp4"

    def __init__(self, file: Any, field: str) -> None:
        self._file, self.field = file, field
        self._key = "\xa9gen" if field == GENRE else f"----:com.apple.iTunes:{field}"
        self.had_tags = file.tags is not None
        if not self.had_tags:
            file.add_tags()
        self._atoms = mp4_tags(Path(file.filename))
        if any(atom[4:8] == b"gnre" for atom in self._atoms):
            raise TmgcError("its genre is a number (gnre), which would be lost: it is left as it is")
        if not self._is_understood():
            raise TmgcError("its tags are not as those of iTunes, and would be lost: it is left as it is")

    def _is_understood(self) -> bool:
        """Whether the tags are found, and the text of all genres is."""
        is_found = bool(self._atoms) or not self._file.tags
        if self._key != "\xa9gen":
            return is_found
        genres = [atom for atom in self._atoms if self._is_field(atom)]
        texts = [value.encode() for value in self._file.tags.get(self._key, [])]
        return is_found and sum(len(atom) - 8 for atom in genres) == sum(len(text) + 16 for text in texts)

    @property
    def values(self) -> list[str]:
        found = self._file.tags.get(self._key, [])
        return _texts(bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else value for value in found)

    @property
    def stored(self) -> Any:
        found = self._file.tags.get(self._key)
        if found is None or self._key == "\xa9gen":
            return found
        return [[int(value.dataformat), int(value.version), bytes(value).hex()] for value in found]

    @property
    def others(self) -> object:
        return sorted(_number_alone(atom) for atom in self._atoms if not self._is_field(atom))

    def _is_field(self, atom: bytes) -> bool:
        if self._key == "\xa9gen":
            return atom[4:8] == b"\xa9gen"
        _, name, field = self._key.split(":")
        parts = (
            struct.pack(">I4sI", len(text) + 12, kind, 0) + text.encode()
            for kind, text in ((b"mean", name), (b"name", field))
        )
        return atom[4:8] == b"----" and atom[8:].startswith(b"".join(parts))

    def set(self, values: Sequence[str]) -> None:
        if self._key == "\xa9gen":
            self.restore(list(values))
        else:
            self.restore([[1, 0, value.encode().hex()] for value in values])

    def restore(self, stored: Any) -> None:
        from mutagen.mp4 import MP4FreeForm

        if stored is None:
            self._file.tags.pop(self._key, None)
        elif self._key == "\xa9gen":
            self._file.tags[self._key] = stored
        else:
            self._file.tags[self._key] = [
                MP4FreeForm(bytes.fromhex(text), dataformat, version) for dataformat, version, text in stored
            ]

    def save(self, copy: Path, *, size: int | None = None, keep_tags: bool = True) -> None:
        _save_to(copy, self._file, size)


def _number_alone(atom: bytes) -> bytes:
    """An atom; of a number of track or disc without the two zero bytes at the end, which some programs omit."""
    if atom[4:8] in (b"trkn", b"disk") and len(atom) in (30, 32) and not any(atom[30:]):
        return atom[4:8] + atom[12:30]
    return atom


def open_tags(path: Path, field: str, *, id3v2_version: int = 4) -> SongTags:
    """Read the tags of a song.

    Parameters
    ----------
    path : Path
    field : str
        :data:`GENRE`, or the name of a field of its own, in capitals.
    id3v2_version : int
        3 or 4, of a song without ID3v2 tag.

    Raises
    ------
    TmgcError
        Its format is none that is written.
    mutagen.MutagenError
        Its tags cannot be read.
    """
    import mutagen
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    file = mutagen.File(path, options=[MP3, FLAC, OggVorbis, OggOpus, MP4])
    if file is None or (isinstance(file, MP3) and file.info.sketchy):
        raise TmgcError("tags are written to MP3, FLAC, Ogg Vorbis, Opus and M4A: it is something else")
    if isinstance(file, MP3):
        return _Id3(path, field, id3v2_version)
    return _Mp4(file, field) if isinstance(file, MP4) else _Vorbis(file, field)


def _save_to(copy: Path, file: Any, size: int | None) -> None:
    """Copy the song of a file of mutagen, and write the tags into the copy."""
    missing = 0 if size is None else size - Path(file.filename).stat().st_size
    chosen: int | None = None

    def padding(info: PaddingInfo) -> int:
        nonlocal chosen
        if size is None:
            return int(info.padding if info.padding >= 0 else info.get_default_padding())
        chosen = max(0, (info.padding if chosen is None else chosen) + missing)
        return chosen

    for _ in range(_SAVED):
        shutil.copyfile(file.filename, copy)
        file.save(copy, padding=padding)
        missing = 0 if size is None else size - copy.stat().st_size
        if not missing:
            return


def _first_place(stored: Any, end: int) -> int:
    """Where new values are put: in the place of the first one that is there, or else behind all others."""
    return int(stored[0][0]) if stored else end


def _without_places(stored: Any) -> list[list[str]]:
    return [value for _, *value in stored or ()]


def _inserted(others: Sequence[Item], placed: Iterable[tuple[int, Item]]) -> list[Item]:
    """All in one list, in which each item of a place stands there again."""
    found = list(others)
    for place, item in placed:
        found.insert(place, item)
    return found


def _texts(values: Any) -> list[str]:
    """Values for people, without empty ones."""
    return [text for value in values if (text := str(value).strip())]
