"""What a person reads is readable in every encoding, and obeyed by no terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import click
import pytest

from edge_runtime import ModelCard
from edge_runtime.terminal import prepare_streams, print_json, print_line, print_lines, printable, printable_json
from tests.edge_runtime.conftest import LISTEN
from tests.edge_runtime.factories import listen_command
from tests.edge_runtime.fake_portaudio import FakePortAudio
from tests.edge_runtime.outputs.conftest import write_noise
from tests.edge_runtime.outputs.test_live import in_a_terminal

ENCODINGS = ("utf-8", "ascii", "latin-1", "iso8859-9", "cp1254", "cp857", "cp437", "koi8-r", "big5")

LOCALES: dict[str, dict[str, str]] = {
    "C": {"LC_ALL": "C"},
    "C without UTF-8": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "Latin-5": {"PYTHONIOENCODING": "latin5"},
    "cp1254": {"PYTHONIOENCODING": "cp1254:strict"},
    "cp857": {"PYTHONIOENCODING": "cp857"},
    "ASCII": {"PYTHONIOENCODING": "ascii:strict"},
}
"""Variables of the environment that stand for a locale."""

EVIL = "E\x1b]0;title\x07\x1b[2J\x9b31m\nerror: forged\r\u202e\u200b\u2028x"
SHOWN = r"E\x1b]0;title\x07\x1b[2J\x9b31m\nerror: forged\r\u202e\u200b\u2028x"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Türkü, ışık, мир, 音楽, مقام", "Türkü, ışık, мир, 音楽, مقام"),
        (EVIL, SHOWN),
        ("tab\tnul\0del\x7f", r"tab\tnul\x00del\x7f"),
        ("bidi \u2066\u2069\u200f, invisible \u2060\ufeff\xad", r"bidi \u2066\u2069\u200f, invisible \u2060\ufeff\xad"),
        ("a tag \U000e0041", r"a tag \U000e0041"),
        ("caf\udce9", r"caf\xe9"),
        ("\udcc4\udcb1\udcc5\udc9f\udcc4\udcb1k", "ışık"),  # how ASCII decodes its UTF-8
        ("half a pair \ud800", r"half a pair \ud800"),
        (r"a path C:\new", r"a path C:\new"),
        ("", ""),
    ],
)
def test_control_and_format_characters_are_shown_as_escapes(text: str, line: str) -> None:
    assert printable(text) == line


def test_no_character_at_all_is_left_that_a_terminal_obeys() -> None:
    for code in (*range(0x11000), *range(0xE0000, 0xE0200), sys.maxunicode):
        assert all(unicodedata.category(shown) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for shown in printable(chr(code)))


@pytest.mark.parametrize("indent", [None, 1])
def test_json_keeps_its_meaning_and_holds_no_control_character(indent: int | None) -> None:
    document = {"genre": "Türkü", "name": EVIL + "\x7f\U000e0041", "list": [1, "a\\b"]}
    text = printable_json(json.dumps(document, ensure_ascii=False, indent=indent))
    assert json.loads(text) == document
    assert text.replace("\n", "").isprintable()
    assert "Türkü" in text


@contextmanager
def standard_output_in(encoding: str) -> Iterator[io.BytesIO]:
    """The bytes of a standard output in an encoding, which refuses what that lacks until it is prepared."""
    written = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        stream = io.TextIOWrapper(written, encoding=encoding, newline="")
        patch.setattr(sys, "stdout", stream)
        prepare_streams()
        yield written
        stream.detach()


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "Türkü ışık Ğİ – naïve ß ─█→… мир 音"),
        ("ascii", "Turku isik GI - naive s -#>~ ??? ??"),
        ("latin-1", "Türkü isik GI - naïve ß -#>~ ??? ??"),
        ("iso8859-9", "Türkü ışık Ğİ - naïve ß -#>~ ??? ??"),
        ("cp1254", "Türkü ışık Ğİ – naïve ß -#>… ??? ??"),
        ("cp857", "Türkü ışık Ğİ - naïve ß ─█>~ ??? ??"),
    ],
)
def test_letters_that_an_encoding_lacks_become_similar_ones(encoding: str, shown: str) -> None:
    with standard_output_in(encoding) as written:
        print_line("Türkü ışık Ğİ – naïve ß ─█→… мир 音")
        print_lines(["u\u0308 decomposed"])
    decomposed = {"utf-8": "u\u0308"}.get(encoding, "u")
    assert written.getvalue().decode(encoding).splitlines() == [shown, f"{decomposed} decomposed"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_character_can_be_printed(encoding: str) -> None:
    characters = [chr(code) for code in (*range(0x3000), *range(0xD7F0, 0xE010), 0x4E00, 0x1F3B5, sys.maxunicode)]
    with standard_output_in(encoding) as written:
        print_lines(characters)
    assert written.getvalue().decode(encoding).count("\n") == len(characters)


@pytest.mark.parametrize("encoding", ["ascii", "cp1254"])
def test_a_json_document_is_utf_8_in_every_locale(encoding: str) -> None:
    with standard_output_in(encoding) as written:
        print_json(json.dumps({"genre": "ışık", "source": "caf\udce9"}, ensure_ascii=False))
    assert json.loads(written.getvalue().decode("utf-8")) == {"genre": "ışık", "source": "caf?"}


def test_a_process_without_standard_streams_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()
    print_line("x")
    print_json("{}")


def helps_of(command: click.Command, name: str) -> Iterator[str]:
    """The help of a command and of its subcommands."""
    context = click.Context(command, info_name=name)
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for subcommand in command.list_commands(context):
            yield from helps_of(command.get_command(context, subcommand) or command, subcommand)


def test_every_help_text_can_be_shown_in_every_encoding() -> None:
    commands = {
        "train.cli": "fit",
        "export.cli": "inspect",
        "edge_runtime.cli.listen": "doctor",
        "benchmarks.cli": "check",
    }
    for module, subcommand in commands.items():
        texts = list(helps_of(import_module(module).main, module))
        assert any(subcommand in text for text in texts[1:])
        assert all(text.isascii() for text in texts)


@pytest.fixture(scope="session")
def evil_model(tmp_path_factory: pytest.TempPathFactory, card: ModelCard, graphs: dict[str, Path]) -> Path:
    """A model whose file name would move a cursor; a card that would is refused."""
    from export.metadata import write_with_card

    evil = replace(card, genres=("Türkü", "ışık", "Ğ"), export={"format": "tflite", "recipe": "int8"})
    path = tmp_path_factory.mktemp("evil") / "m\x1b[31m\nerror: ışık.tflite"
    write_with_card(graphs["tflite"], evil, path)
    return path


@pytest.fixture(scope="session")
def evil_song(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A song whose name would do so, and is no UTF-8."""
    folder = tmp_path_factory.mktemp("songs")
    path = os.fsencode(folder) + b"/" + "\x1b[31m\nerror: Türkü\u202e".encode() + b"\xff.wav"
    write_noise(folder / "song.wav", seconds=3).rename(os.fsdecode(path))
    return path


INSPECT = (sys.executable, "-c", "from export.cli import main; main()")


def run(command: tuple[str | bytes | Path, ...], locale: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(command, capture_output=True, env=os.environ | LOCALES[locale], check=False)
    return done.returncode, done.stdout, done.stderr


def check_harmless(output: bytes, *, lines: int | None = None) -> None:
    """No control character, no forged line and no traceback."""
    assert b"Traceback" not in output
    assert not set(output) & {*range(0x0A), *range(0x0B, 0x20), 0x7F}
    assert not [line for line in output.splitlines() if line.startswith(b"error: forged")]
    for hidden in ("\u202e", "\u200b", "\u2028", "\x9b"):
        assert hidden.encode() not in output
    assert lines is None or output.count(b"\n") == lines


@pytest.mark.parametrize("locale", LOCALES)
def test_text_of_hostile_names_is_harmless_in_every_locale(locale: str, evil_model: Path, evil_song: bytes) -> None:
    code, output, notices = run((*LISTEN, evil_song, "--model", evil_model, "--plain"), locale)
    assert code == 0, notices
    check_harmless(output, lines=3)
    check_harmless(notices, lines=1)
    assert rb"\x1b[31m\nerror: T" in output.splitlines()[-1]
    letters = {"C": "ışık", "ASCII": "isik", "C without UTF-8": "isik"}
    if locale in letters:
        assert rf"m\x1b[31m\nerror: {letters[locale]}.tflite: ai-edge" in notices.decode()


def test_other_commands_show_hostile_names_harmlessly(evil_model: Path) -> None:
    locale = "C without UTF-8"
    for command in ((*INSPECT, "inspect", evil_model), (*LISTEN, "doctor", "--model", evil_model)):
        code, output, notices = run(command, locale)
        assert code in (0, 1)
        check_harmless(output + notices)
        assert rb"m\x1b[31m\nerror: " in output
    code, output, notices = run((*LISTEN, evil_model.with_name("none\x1b[2J.wav")), locale)
    assert code == 2
    check_harmless(notices)
    assert rb"none\x1b[2J.wav" in notices
    code, output, notices = run((*LISTEN, "--hop", EVIL.encode()), locale)
    assert code == 2
    check_harmless(notices, lines=1)


def test_devices_with_hostile_names_are_listed_harmlessly(fake_portaudio: Callable[..., FakePortAudio]) -> None:
    fake_portaudio(EVIL, "USB")
    done = listen_command("--list-devices")
    check_harmless(done.stdout_bytes, lines=2)
    assert SHOWN in done.stdout
    check_harmless(listen_command("--list-devices", "--json").stdout_bytes, lines=2)


@pytest.mark.parametrize("locale", ["C without UTF-8", "Latin-5"])
def test_json_of_hostile_names_is_valid_utf_8_in_every_locale(locale: str, evil_model: Path, evil_song: bytes) -> None:
    code, output, _ = run((*LISTEN, evil_song, "--model", evil_model, "--json"), locale)
    assert code == 0
    check_harmless(output, lines=3)
    summary = json.loads(output.decode("utf-8").splitlines()[-1])
    assert summary["source"].endswith("\x1b[31m\nerror: Türkü\u202e?.wav")
    assert set(summary["probabilities"]) == {"Türkü", "ışık", "Ğ"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1254"])
def test_the_live_view_of_hostile_names_is_harmless_in_every_encoding(
    encoding: str, evil_model: Path, evil_song: bytes
) -> None:
    arguments = [os.fsdecode(evil_song), "--model", evil_model]
    code, written = in_a_terminal(list(arguments), encoding=encoding, width=200)
    assert code == 0, written
    assert "Traceback" not in written
    assert "\x1b[31m" not in written
    assert r"\x1b[31m\nerror: T" in written
    assert {"ascii": "Turku", "cp1254": "Türkü"}[encoding] in written
