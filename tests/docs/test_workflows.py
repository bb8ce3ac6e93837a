"""The workflows call targets and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.docs.pages import ROOT
from tests.docs.test_commands import calls, parse

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs(workflow: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(workflow.read_text("utf-8"))
    return dict(document["jobs"])


def scripts(workflow: Path) -> list[str]:
    return [step["run"] for job in jobs(workflow).values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_make_targets_and_commands_that_exist(workflow: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = [target for script in scripts(workflow) for target in re.findall(r"\bmake (\S+)", script)]
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for script in scripts(workflow):
        for name, arguments in calls(script):
            parse(name, arguments)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_of_a_workflow_has_a_time_limit(workflow: Path) -> None:
    assert all(job["timeout-minutes"] <= 120 for job in jobs(workflow).values())


def test_the_tests_run_on_x86_64_and_on_arm64_with_every_python() -> None:
    matrix = jobs(ROOT / ".github" / "workflows" / "tests.yml")["test"]["strategy"]["matrix"]["include"]
    assert {(row["os"], row["python"]) for row in matrix} >= {
        ("ubuntu-24.04", "3.11"),
        ("ubuntu-24.04", "3.12"),
        ("ubuntu-24.04", "3.13"),
        ("ubuntu-24.04-arm", "3.11"),
        ("ubuntu-24.04-arm", "3.13"),
    }


def test_the_parity_report_is_kept() -> None:
    (parity,) = jobs(ROOT / ".github" / "workflows" / "parity.yml").values()
    (upload,) = [step for step in parity["steps"] if step.get("uses", "").startswith("actions/upload-artifact")]
    assert "parity.json" in upload["with"]["path"]
