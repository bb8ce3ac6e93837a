"""The folder of a run, and its lock."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.run import Run, newest_run

HOLDER = """
import sys, time
from pathlib import Path
from train.run import Run
with Run(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_command_at_a_time_changes_a_run_and_a_killed_one_releases_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", HOLDER, run.folder], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            with pytest.raises(TmgcError, match="another is at work"), run.lock():
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
    with run.lock():
        pass
    with run.lock():
        pass


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "m\udcfczik"])
def test_a_run_whose_model_could_not_have_its_name_is_refused_before_anything_is_done(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(TmgcError, match="must be printable, got"), Run(tmp_path / name).lock():
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_while_a_run_is_locked_is_not_taken_for_another_command(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), Run(tmp_path / "run").lock():
        raise BlockingIOError


def test_temporary_files_of_every_library_are_in_the_run_and_removed_with_its_work_folder(tmp_path: Path) -> None:
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with Run(tmp_path).work_folder() as folder:
        assert folder.parent == tmp_path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert Path(tempfile.mkdtemp()).parent == folder
        by_a_process = subprocess.run(["mktemp"], capture_output=True, text=True, check=True).stdout.strip()
        assert Path(by_a_process).parent == folder
    assert not list(tmp_path.iterdir())
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


def test_what_a_killed_command_left_in_a_work_folder_is_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    run, outside = Run(tmp_path / "run"), tmp_path / "outside"
    for folder in (run.folder / ".part-work-killed", run.folder / "kept", outside):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (run.folder / ".part-work-link").symlink_to(outside)
    (run.folder / ".part-work-file").touch()
    with run.work_folder() as folder:
        assert {path.name for path in run.folder.iterdir()} == {folder.name, "kept"}
    assert (outside / "file").exists()
    assert (run.folder / "kept" / "file").exists()


def test_the_lock_of_a_run_removes_what_interrupted_commands_left(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    left = [run.folder / ".part-model.0123456789abcdef.keras", run.plots / ".part-confusion.0123456789abcdef.png"]
    kept = [run.model, run.plots / "confusion.png"]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with run.lock():
        assert not any(path.exists() for path in left)
        assert all(path.exists() for path in kept)


def test_the_newest_run_is_the_one_whose_file_was_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TmgcError, match=r"no \./runs/\*/model\.keras here"):
        newest_run("model.keras")
    for age, name in enumerate(["second", "first"]):
        model = tmp_path / "runs" / name / "model.keras"
        model.parent.mkdir(parents=True)
        model.touch()
        os.utime(model, (1e9 + age, 1e9 + age))
    (tmp_path / "runs" / "empty").mkdir()
    assert newest_run("model.keras") == Path("runs/first")
