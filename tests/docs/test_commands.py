"""Every command, option and Python example of the pages is one that exists."""

from __future__ import annotations

import math
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib import import_module
from itertools import takewhile
from pathlib import Path

import click
import pytest
import soundfile

from edge_runtime.models import SMALL_MODEL
from tests.conftest import tone
from tests.docs.pages import PAGES, ROOT, code_blocks, inline_code, tables
from tests.factories import square

COMMANDS = {
    "tmgc-train": "train.cli:main",
    "tmgc-export": "export.cli:main",
    "tmgc-listen": "edge_runtime.cli.listen:main",
    "tmgc-serve": "edge_runtime.cli.serve:main",
    "tmgc-tag": "edge_runtime.cli.tag:main",
    "tmgc-bench": "benchmarks.cli:main",
}

OF_OTHER_PROGRAMS = {"--unit", "--follow", "--logdir"}
"""Options of journalctl and TensorBoard."""


def command(name: str) -> click.Command:
    module, _, attribute = COMMANDS[name].partition(":")
    found: click.Command = getattr(import_module(module), attribute)
    return found


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """The calls of our commands in lines of a shell, each with its arguments."""
    for line in text.replace("\\\n", " ").splitlines():
        if "tmgc-" not in line:
            continue
        words = shlex.split(line, comments=True)
        for number, word in enumerate(words):
            if Path(word).name in COMMANDS:
                yield Path(word).name, list(takewhile(lambda word: word not in ("|", ">", ":::"), words[number + 1 :]))


def parse(name: str, arguments: list[str]) -> None:
    """Parse the arguments as the command does, without running it."""
    found = command(name)
    while isinstance(found, click.Group) and arguments:
        inner = found.get_command(click.Context(found), arguments[0])
        if inner is None:
            break
        found, arguments = inner, arguments[1:]
    if not {"--help", "--version"} & set(arguments):
        found.make_context(name, list(arguments))


def mentions_of(page: Path) -> list[tuple[str, list[str]]]:
    """The calls in a page's running text, which may leave out arguments."""
    spans = [span for span in inline_code(page) if re.match(r"(\S*/)?tmgc-\w+ ", span)]
    return [call for span in spans for call in calls(span)]


def commands_of(page: Path) -> list[tuple[str, list[str]]]:
    return [call for code in code_blocks(page, "sh") for call in calls(code)] + mentions_of(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_parses(page: Path) -> None:
    for name, arguments in commands_of(page):
        try:
            parse(name, arguments)
        except click.MissingParameter:
            assert (name, arguments) in mentions_of(page), "a command in a block of code is complete"
        except click.UsageError as error:
            pytest.fail(f"{name} {shlex.join(arguments)}: {error.format_message()}")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "archive.md"], ids=lambda page: page.name)
def test_every_command_of_a_block_names_its_environment(page: Path) -> None:
    """A newcomer's shell has no environment active; the blocks of archive.md are for other machines, too."""
    lines = [line for code in code_blocks(page, "sh") for line in code.splitlines()]
    named = [word for line in lines for word in line.partition("#")[0].split() if Path(word).name in COMMANDS]
    assert not [word for word in named if Path(word).parent not in (Path(".venv/bin"), Path("/opt/tmgc/bin"))]


def test_the_pages_call_all_commands() -> None:
    assert {name for page in PAGES for name, _ in commands_of(page)} == set(COMMANDS)


def all_options(found: click.Command) -> set[str]:
    options = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    if isinstance(found, click.Group):
        context = click.Context(found)
        for name in found.list_commands(context):
            inner = found.get_command(context, name)
            assert inner is not None
            options |= all_options(inner)
    return options


def test_every_option_that_a_page_names_exists() -> None:
    known = set().union(*(all_options(command(name)) for name in COMMANDS)) | OF_OTHER_PROGRAMS | {"--help"}
    named = {
        option for page in PAGES for span in inline_code(page) for option in re.findall(r"--[a-z][a-z0-9-]+", span)
    }
    assert not named - known


def help_of(name: str) -> str:
    found = command(name)
    return " ".join(found.get_help(click.Context(found, info_name=name)).split())


def test_the_help_of_tmgc_listen_names_the_exit_codes_of_its_page() -> None:
    (table,) = [table for table in tables(ROOT / "docs" / "listen.md") if table[0][0] == "code"]
    codes = {code for row in table[1:] for code in re.findall(r"\d+", row[0])}
    assert len(codes) == 5
    assert codes | {"78"} <= set(
        re.findall(r"\d+", help_of("tmgc-listen").partition("Exit code")[2].partition("Options")[0])
    )


def test_the_help_of_tmgc_export_names_the_networks_with_another_default() -> None:
    from export.recipes import PREFERENCES

    default = help_of("tmgc-export").partition("--quantize")[2].partition("--input")[0].lower()
    assert all(name.replace("_", "") in default for name in PREFERENCES)


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    named = {
        target
        for page in PAGES
        for text in (*code_blocks(page, "sh"), *inline_code(page))
        for target in re.findall(r"^make ([a-z0-9-]+)", text, re.MULTILINE)
    }
    assert {"demo", "test", "docs"} <= named <= targets


def test_the_python_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(SMALL_MODEL, "mine.int8.tflite")
    soundfile.write("song.mp3", tone(3.5, sample_rate=44_100), 44_100)
    (example,) = code_blocks(ROOT / "README.md", "python")
    exec(compile(example, "README.md", "exec"), {})
    assert re.match(r"0\.0 s: \w+ \(\d+%\)\n1\.0 s: ", capsys.readouterr().out)


def test_the_readme_and_the_pages_show_the_same_python_example() -> None:
    (example,) = code_blocks(ROOT / "README.md", "python")
    for page in ("listen", "python-api"):
        assert example in code_blocks(ROOT / "docs" / f"{page}.md", "python")


def test_the_example_of_an_output_receives_what_listening_produces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_runtime import GenreClassifier, ListenSettings
    from edge_runtime.session import Session
    from edge_runtime.shutdown import Shutdown

    example = code_blocks(ROOT / "CONTRIBUTING.md", "python")[0]
    defined: dict[str, type] = {}
    exec(compile(example, "CONTRIBUTING.md", "exec"), defined)
    soundfile.write(tmp_path / "song.wav", tone(3.5, sample_rate=44_100), 44_100)
    with Shutdown() as stop:
        session = Session(GenreClassifier.open(SMALL_MODEL), ListenSettings(), [defined["Csv"]()], stop)
        session.classify_files([tmp_path / "song.wav"], speed=math.inf)
    assert re.match(r"0\.0,\w+\n1\.0,\w+\n", capsys.readouterr().out)


def test_the_example_of_an_architecture_makes_a_network() -> None:
    from train.training.model import build_network

    example = next(code for code in code_blocks(ROOT / "CONTRIBUTING.md", "python") if "register_architecture(" in code)
    exec(compile(example, "CONTRIBUTING.md", "exec"), {})
    network = build_network("small_cnn", square(32), n_genres=3, weights="none")
    assert network.output_shape == (None, 3)


def test_the_example_of_a_recipe_is_one_that_litert_quantizer_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from export import parity, recipes, tflite
    from train.libraries import library

    monkeypatch.setattr(parity, "TOLERANCES", dict(parity.TOLERANCES))
    defined = {**vars(recipes), **vars(parity), **vars(tflite)}
    example = code_blocks(ROOT / "CONTRIBUTING.md", "python")[-1]
    exec(compile(example, "CONTRIBUTING.md", "exec"), defined)
    assert parity.TOLERANCES["int4"].top1_agreement == 0.95
    manager = library("litert_quantizer.recipe_manager", extra="export").RecipeManager()
    defined["_add_int4"](manager)
    (quantised,) = manager.get_quantization_recipe()
    assert quantised["op_config"]["weight_tensor_config"]["num_bits"] == 4
    for name in ("RECIPES", "FORMATS", "_litert_recipe"):
        assert name in defined
