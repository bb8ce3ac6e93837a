"""The notebook for Colab, executed from its first cell to its last."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import ROOT
from train.demo_corpus import write_demo_corpus

NOTEBOOK = ROOT / "docs" / "colab.ipynb"
QUICK = (
    "--offsets 0.5 --image-size 32 --architecture mobilenet_v3_small --weights none "
    "--head-epochs 1 --epochs 1 --augment none"
)


def read_notebook() -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.reads(NOTEBOOK.read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def test_the_notebook_is_kept_without_output() -> None:
    notebook = read_notebook()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 8
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.full
def test_the_notebook_trains_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_demo_corpus(tmp_path / "songs", songs_per_genre=3, seconds=4.0)
    run = tmp_path / "run"
    for name, value in {
        "TMGC_PACKAGE": "",
        "TMGC_SONGS": str(tmp_path / "songs"),
        "TMGC_RUN": str(run),
        "TMGC_TRAIN_OPTIONS": QUICK,
        "TMGC_EXPORT_OPTIONS": "--quantize none",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = read_notebook()
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.timeout, client.startup_timeout, client.iopub_timeout = 600, 300, 60
    client.execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "10 genres: Arabesk" in printed
    assert "run.float32.tflite" in printed
    assert (run / "exports" / "run.float32.tflite").is_file()
    assert (run / "report.html").is_file()
