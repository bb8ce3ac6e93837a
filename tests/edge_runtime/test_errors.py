from __future__ import annotations

import importlib.metadata
import sys
import tomllib
from importlib.metadata import PackageNotFoundError

import pytest

from edge_runtime import errors
from edge_runtime.errors import pip_install, pip_install_extra
from tests.docs.pages import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


def test_pip_is_that_of_the_environment_that_runs() -> None:
    assert pip_install("jax[cuda12]") == f"{sys.executable} -m pip install 'jax[cuda12]'"


def test_an_environment_of_root_needs_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "get_path", lambda _: "/no/such/folder")
    assert pip_install("ray").startswith(f"sudo {sys.executable} -m pip install ray")


def test_an_extra_is_installed_by_the_names_of_its_packages() -> None:
    assert pip_install_extra("mqtt") == pip_install("paho-mqtt")
    assert pip_install_extra("serve").split()[-5:] == [each.partition(">")[0] for each in EXTRAS["serve"]]


@pytest.mark.parametrize("extra", EXTRAS)
def test_no_command_names_tmgc_which_is_in_no_index(extra: str) -> None:
    assert "tmgc" not in pip_install_extra(extra).partition(" install ")[2]


def test_an_extra_includes_those_that_it_names() -> None:
    command = pip_install_extra("bench").split()
    assert {"psutil", "tf2onnx", "tensorflow", "onnxruntime"} <= set(command)
    assert len(command) == len(set(command))


def test_where_tmgc_is_not_installed_the_checkout_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert pip_install_extra("mqtt") == pip_install(".[mqtt]")
