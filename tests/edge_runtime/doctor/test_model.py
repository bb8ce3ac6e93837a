"""What the doctor says of models and interpreters, by running them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import ModelCard
from edge_runtime.doctor import (
    OK,
    PROBLEM,
    WARNING,
    check_acceleration,
    check_interpreter,
    check_model,
    self_test,
    verdict,
)
from edge_runtime.interpreters import open_interpreter
from edge_runtime.models import SMALL_MODEL


def test_the_interpreter_is_named_with_its_version() -> None:
    found = check_interpreter()
    assert found.state == OK
    assert found.found.startswith("ai-edge-litert ")
    assert found.found[-1].isdigit()


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_a_sound_model_passes_all_three_checks(form: str, models: dict[str, Path]) -> None:
    findings = list(check_model(models[form]))
    assert [(finding.check, finding.state) for finding in findings] == [
        ("model", OK),
        ("XNNPACK", OK),
        ("self-test", OK),
    ]
    assert "Halk, Caz, Rock" in findings[0].found
    assert "hop 1.0 s: keeps up" in findings[2].found
    assert "hop 2.0 s: keeps up" in findings[2].found


def test_a_network_without_xnnpack_is_noticed(models: dict[str, Path]) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    bare: Any = open_interpreter(models["tflite"])
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    bare._interpreter = Interpreter(str(models["tflite"]), experimental_op_resolver_type=plain)
    assert check_acceleration(bare).state == WARNING


def test_a_demonstration_model_is_warned_of(graphs: dict[str, Path], card: ModelCard, tmp_path: Path) -> None:
    from export.metadata import write_with_card

    demonstration = replace(card, demonstration=True)
    write_with_card(graphs["tflite"], demonstration, tmp_path / "demo.tflite")
    first = next(check_model(tmp_path / "demo.tflite"))
    assert first.state == WARNING
    assert "demonstration" in first.found


def test_a_damaged_model_is_a_problem_and_the_only_line(models: dict[str, Path], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(models["tflite"].read_bytes()[:2000])
    (finding,) = check_model(damaged)
    assert finding.state == PROBLEM
    assert "Copy it again" in finding.found


def test_without_any_model_the_small_one_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, *_ = check_model(None)
    assert model.state == WARNING
    assert str(SMALL_MODEL) in model.found


def test_answers_that_are_no_probabilities_are_a_problem(models: dict[str, Path]) -> None:
    broken: Any = open_interpreter(models["onnx"])
    broken.invoke = lambda picture: np.full(3, np.nan, np.float32)
    assert self_test(broken).state == PROBLEM


@pytest.mark.parametrize(
    ("latencies_ms", "state", "said"),
    [
        ([900.0, 100.0, 80.0], OK, "hop 1.0 s: keeps up 10.0 times over, hop 2.0 s: keeps up 20.0 times over"),
        ([900.0, 1600.0, 900.0], WARNING, "hop 1.0 s: does not keep up, hop 2.0 s: keeps up 1.2 times over"),
        ([900.0, 2100.0, 2000.0], PROBLEM, "hop 1.0 s: does not keep up, hop 2.0 s: does not keep up"),
    ],
)
def test_the_verdict_is_of_the_slowest_window_once_warm(latencies_ms: list[float], state: str, said: str) -> None:
    found = verdict(latencies_ms)
    assert found.state == state
    assert found.found.endswith(said)
    assert bool(found.fix) == (state != OK)


def test_no_check_imports_a_training_library(models: dict[str, Path]) -> None:
    program = (
        "import sys\nfrom edge_runtime.cli.listen import main\n"
        "try: main(['doctor', '--model', sys.argv[1]])\nexcept SystemExit: pass\n"
        "print('imported:', {'tensorflow', 'keras', 'librosa', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, str(models["tflite"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["imported: set()"], done.stderr
