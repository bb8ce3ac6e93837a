"""The digest in a model's card finds every change of its graph."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import ModelCard, TmgcError
from edge_runtime.interpreters import open_interpreter
from edge_runtime.model_file import check_digest, graph_sha256, read_card
from export.metadata import write_with_card

FORMATS = pytest.mark.parametrize("form", ["tflite", "onnx"])


@FORMATS
def test_the_digest_does_not_depend_on_the_card(
    form: str, graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.{form}" for number in range(2)]
    write_with_card(graphs[form], card, files[0])
    write_with_card(graphs[form], card.replace(name="another name"), files[1])
    assert files[0].read_bytes() != files[1].read_bytes()
    first, second = (read_card(file).export["graph_sha256"] for file in files)
    assert first == second == graph_sha256(files[0])
    assert check_digest(files[0], read_card(files[0]))
    assert not check_digest(files[0], card), "a card without a digest"
    if form == "tflite":
        assert first == graph_sha256(graphs[form]), "also before it has a card"


@FORMATS
def test_one_changed_byte_of_the_graph_is_refused_in_one_line(
    form: str, models: dict[str, Path], tmp_path: Path
) -> None:
    """Of the weights, where an interpreter would compute other figures without a word."""
    content = bytearray(models[form].read_bytes())
    damaged = tmp_path / f"damaged.{form}"
    refused = 0
    end = content.find(b'"schema"')  # the card stands behind the graph
    for position in range(end // 3, end * 2 // 3, max(1, end // 60)):
        content[position] ^= 1
        damaged.write_bytes(content)
        content[position] ^= 1
        with pytest.raises(TmgcError) as caught:
            open_interpreter(damaged)
        assert "\n" not in str(caught.value)
        refused += "as it was exported" in str(caught.value)
    assert refused > 10


def test_a_changed_byte_of_the_card_of_an_onnx_file_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    """A TFLite file's archive has a checksum of its own."""
    content = bytearray(models["onnx"].read_bytes())
    damaged = tmp_path / "damaged.onnx"
    begin = content.find(b'"colormap"')
    for position in range(begin, begin + 2_000, 97):
        content[position] ^= 1
        damaged.write_bytes(content)
        content[position] ^= 1
        with pytest.raises(TmgcError, match="its SHA-256 is another"):
            open_interpreter(damaged)


def test_a_message_of_millions_of_fields_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "many.onnx"
    for content in (b"\x08\x01" * 1_000_000, b"\x72\xc0\x84\x3d" + b"\x08\x01" * 500_000):
        path.write_bytes(content)
        with pytest.raises(TmgcError, match="damaged"):  # and not: without a card, for which each would be read
            open_interpreter(path)


def test_what_is_no_protobuf_message_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    for content in (b"\x07", b"\xff" * 30, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab"):
        path.write_bytes(content)
        with pytest.raises(TmgcError, match="damaged"):
            graph_sha256(path)
