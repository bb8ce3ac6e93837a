"""What a model file holds beside its graph: the model card, and the digest by which a damaged graph is found.

A TFLite file is followed by a zip archive with the card. An ONNX file is a protobuf message, ``ModelProto`` of
onnx.proto; the card is one of its ``metadata_props``. Both are read before a library sees the graph.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edge_runtime.errors import TmgcError, UntrustedModelError
from edge_runtime.model_card import MAX_BYTES, METADATA_KEY, ModelCard

CARD_ENTRY = "card.json"
"""Name of the card in the zip archive that is appended to a TFLite model."""

_LONGEST_ARCHIVE = 2 * MAX_BYTES + 128 * 1024
"""Bytes at the end of a file that hold its archive: the card, its genres once more, and the directory."""

_METADATA_PROPS = 14
"""Number of the field in ``ModelProto``; each has a key, field 1, and a value, field 2."""

CARD_SHA256_KEY = f"{METADATA_KEY}_sha256"
"""Name of the digest of an ONNX file's card in its ``metadata_props``; the archive of a TFLite file has a checksum."""

_MOST_FIELDS = 10_000
"""Of a protobuf message; each is a step of this interpreter."""

_LONGEST_HEAD = 20
"""Bytes of a protobuf field's tag and length at most."""

_BLOCK = 1 << 20


def read_card(path: Path) -> ModelCard:
    """Read the model card of a ``.tflite`` or ``.onnx`` file, without loading the model.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UntrustedModelError
        The file is damaged, or has no card.
    """
    text = _tflite_card(path) if path.suffix == ".tflite" else _onnx_card(path)
    try:
        return ModelCard.from_json(text, where=str(path))
    except TmgcError as error:
        raise UntrustedModelError(str(error)) from error


def graph_sha256(path: Path) -> str:
    """SHA-256 of a model file without its card, in hexadecimal: the same before and after the card is written into it.

    Parameters
    ----------
    path : Path
        A ``.tflite`` or ``.onnx`` file.

    Raises
    ------
    TmgcError
        It is an ONNX file whose fields cannot be told apart: it is damaged.
    """
    import hashlib  # its library takes 3 MB

    digest = hashlib.sha256()
    with path.open("rb") as file:
        for begin, end in _graph_parts(path, file):
            file.seek(begin)
            while block := file.read(min(end - begin, _BLOCK)):
                digest.update(block)
                begin += len(block)
    return digest.hexdigest()


def check_digest(path: Path, card: ModelCard) -> bool:
    """Compare the graph of a file with the digest in its card.

    Returns
    -------
    checked : bool
        False where the card has no digest.

    Raises
    ------
    UntrustedModelError
        They differ.
    """
    if "graph_sha256" not in card.export:
        return False
    expected = card.export["graph_sha256"]
    if (found := graph_sha256(path)) != expected:
        raise UntrustedModelError(
            f"a model file must be as it was exported: the SHA-256 of the graph in {path} is {found[:12]}..., its card "
            f"says {str(expected)[:12]}.... It is damaged or was changed: copy or export it again"
        )
    return True


def _tflite_card(path: Path) -> str:
    with path.open("rb") as file:
        header = file.read(8)
        if header[4:] != b"TFL3":
            raise UntrustedModelError(f"a model file must be TFLite: {path} is not. Make one with tmgc-export")
        try:
            with zipfile.ZipFile(_end_of(file)) as archive:
                (entry,) = (entry for entry in archive.infolist() if entry.filename == CARD_ENTRY)
                # a card is never compressed: a few bytes could become gigabytes
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise zipfile.BadZipFile
                return archive.read(entry).decode("utf-8")
        except (zipfile.BadZipFile, struct.error, EOFError, OSError, ValueError, OverflowError, RuntimeError):
            raise UntrustedModelError(
                f"a model file must carry its model card at its end: {path} ({path.stat().st_size} bytes) has none. It "
                "was copied in part, or not made by tmgc-export: copy it again, or make one with tmgc-export"
            ) from None


def _onnx_card(path: Path) -> str:
    with path.open("rb") as file:
        metadata = _onnx_metadata(path, file)
    if METADATA_KEY not in metadata:
        raise UntrustedModelError(
            f"a model file must carry its model card: {path} has none, so its genres and its spectrogram are unknown. "
            "Make one with tmgc-export"
        )
    card = metadata[METADATA_KEY]
    if CARD_SHA256_KEY in metadata and metadata[CARD_SHA256_KEY].decode("ascii", "replace") != card_sha256(card):
        raise UntrustedModelError(
            f"{path} holds no readable model card (its SHA-256 is another): copy or export it again"
        )
    return card.decode("utf-8", "replace")


def card_sha256(card: bytes) -> str:
    """SHA-256 of a card's text, in hexadecimal."""
    import hashlib

    return hashlib.sha256(card).hexdigest()


def _onnx_metadata(path: Path, file: BinaryIO) -> dict[str, bytes]:
    """The ``metadata_props``: values by key."""
    found = dict[str, bytes]()
    for field, begin, end in _protobuf_fields(path, file, file.seek(0, os.SEEK_END)):
        if field == _METADATA_PROPS and end - begin < 2 * MAX_BYTES:
            file.seek(begin)
            entry = io.BytesIO(_without_head(file.read(end - begin)))
            parts = {number: part for number, *part in _protobuf_fields(path, entry, len(entry.getbuffer()))}
            key, value = (_without_head(entry.getvalue()[slice(*parts.get(each, (0, 0)))]) for each in (1, 2))
            found[key.decode("utf-8", "replace")] = value
    return found


def _without_head(field: bytes) -> bytes:
    """The content of a field of bytes, behind its tag and length."""
    return field[_varint(field, _varint(field, 0)[1])[1] :]


def _end_of(file: BinaryIO) -> io.BytesIO:
    """The part of a TFLite file that holds its archive, so that no archive needs more memory than that."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_ARCHIVE))
    return io.BytesIO(file.read())


def _graph_parts(path: Path, file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Begin and end of each part of a file that is not its card, bytes."""
    size = file.seek(0, os.SEEK_END)
    if path.suffix == ".tflite":
        end = _end_of(file)
        try:
            with zipfile.ZipFile(end) as archive:
                archived = len(end.getbuffer()) - min((each.header_offset for each in archive.infolist()), default=0)
        except (zipfile.BadZipFile, struct.error, EOFError, ValueError, OverflowError):
            archived = 0  # a graph without a card
        yield 0, max(0, size - archived)
        return
    for field, begin, end_of_field in _protobuf_fields(path, file, size):
        if field != _METADATA_PROPS:
            yield begin, end_of_field


def _protobuf_fields(path: Path, file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each field of a message, its tag included: https://protobuf.dev/programming-guides/encoding."""
    begin = 0
    for _ in range(_MOST_FIELDS):
        if begin == size:
            return
        file.seek(begin)
        head = file.read(_LONGEST_HEAD)
        tag, used = _varint(head, 0)
        field, kind = tag >> 3, tag & 7
        value, after = _varint(head, used) if kind in (0, 2) else (0, used)
        end = begin + {0: after, 1: used + 8, 2: after + value, 5: used + 4}.get(kind, 0)
        if not begin < end <= size:
            break
        yield field, begin, end
        begin = end
    raise UntrustedModelError(f"{path} cannot be read as an ONNX model: it is damaged. Copy or export it again")


def _varint(head: bytes, begin: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends; (0, 0) where it does not."""
    value = 0
    for position, byte in enumerate(head[begin : begin + 10]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, begin + position + 1
    return 0, 0
