"""One field of a song's tags, in each format: read, set, restored, and saved to a copy of the song."""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.archive.audio_part import id3_size
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from mutagen import PaddingInfo

GENRE = "GENRE"
"""The field that players show as genre; other names are fields of their own."""

SEPARATOR_V23 = "/"
"""Between several values in ID3v2.3, whose text frames hold one: as its definition says for lists of names."""

_ENCODING = re.compile(r"encoding=<[^>]*>")


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
    kind = "id3"

    def __init__(self, path: Path, field: str, new_version: int) -> None:
        from mutagen.id3 import ID3, ID3NoHeaderError

        with path.open("rb") as file:
            self._size = id3_size(file)
        self._path, self.field = path, field
        self._key = "TCON" if field == GENRE else f"TXXX:{field}"
        self.had_tags = self._size > 0
        try:
            # of a song with ID3v1 alone, the new tag holds what stands there: most players read ID3v2 alone then
            self._tags = ID3(path, translate=False, load_v1=not self.had_tags, v2_version=new_version)
        except ID3NoHeaderError:
            self._tags = ID3()
        self._version = self._tags.version[1] if self.had_tags else new_version
        if self._version not in (3, 4):
            raise TmgcError(f"tags are written as ID3v2.3 or 2.4: it has ID3v2.{self._version}. Convert them first")

    @property
    def values(self) -> list[str]:
        frame = self._tags.get(self._key)
        if frame is None:
            return []
        return _texts(frame.genres if self._key == "TCON" else frame.text)

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
        frame = self._tags.get(self._key)
        return None if frame is None else {"encoding": int(frame.encoding), "text": list(map(str, frame.text))}

    @property
    def others(self) -> object:
        frames = {key: _ENCODING.sub("", repr(frame)) for key, frame in self._tags.items() if key != self._key}
        return frames, sorted(self._tags.unknown_frames)

    def set(self, values: Sequence[str]) -> None:
        if self._version == 3:
            values = [SEPARATOR_V23.join(values)]
        self.restore({"encoding": 1 if self._version == 3 else 3, "text": list(values)})

    def restore(self, stored: Any) -> None:
        from mutagen.id3 import TCON, TXXX

        self._tags.delall(self._key)
        if stored is None:
            return
        if self._version == 3:  # which has neither UTF-8 nor UTF-16 without a byte order mark
            stored = stored | {"encoding": min(stored["encoding"], 1)}
        self._tags.add(TCON(**stored) if self._key == "TCON" else TXXX(desc=self.field, **stored))

    def save(self, copy: Path, *, size: int | None = None, keep_tags: bool = True) -> None:
        with self._path.open("rb") as song, copy.open("wb") as file:
            if keep_tags:
                length = song.seek(0, 2) - self._size
                tag = BytesIO()
                wanted = self._size if size is None else size - length
                self._tags.save(
                    tag, v1=0, v2_version=self._version, v23_sep=None, padding=lambda info: _padded(info, wanted)
                )
                file.write(tag.getvalue())
            song.seek(self._size)
            shutil.copyfileobj(song, file, 1 << 20)


def _padded(info: PaddingInfo, wanted: int) -> int:
    """Padding of a tag of its own, of which nothing is there yet: so that it is as long as wanted, if it can be."""
    left = wanted + info.padding
    return left if left >= 0 else 1024


class _Vorbis(SongTags):
    """FLAC, and Vorbis and Opus in Ogg."""

    def __init__(self, file: Any, field: str) -> None:
        self._file, self.field = file, field
        self.kind = "flac" if type(file).__name__ == "FLAC" else "ogg"
        self.had_tags = file.tags is not None
        if not self.had_tags:
            file.add_tags()
        self._tags = file.tags

    def _is_field(self, pair: Sequence[str]) -> bool:
        return pair[0].upper() == self.field

    @property
    def values(self) -> list[str]:
        return _texts(value for _, value in self.stored or ())

    @property
    def stored(self) -> Any:
        return [list(pair) for pair in self._tags if self._is_field(pair)] or None

    @property
    def others(self) -> object:
        return [pair for pair in self._tags if not self._is_field(pair)]

    def set(self, values: Sequence[str]) -> None:
        self.restore([[self.field, value] for value in values])

    def restore(self, stored: Any) -> None:
        others = [pair for pair in self._tags if not self._is_field(pair)]
        self._tags[:] = [*others, *map(tuple, stored or ())]

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
        return {key: repr(value) for key, value in self._file.tags.items() if key != self._key}

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
    shutil.copyfile(file.filename, copy)
    grow = 0 if size is None else size - copy.stat().st_size

    def padding(info: PaddingInfo) -> int:
        if size is not None:
            return max(0, int(info.padding) + grow)
        return int(info.padding if info.padding >= 0 else info.get_default_padding())

    file.save(copy, padding=padding)


def _texts(values: Any) -> list[str]:
    """Values for people, without empty ones."""
    return [text for value in values if (text := str(value).strip())]
