"""One run at a time works on results, or several shares of one."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.archive.lock import lock_results
from edge_runtime.archive.results import SHARDS
from edge_runtime.files import atomic_write

pytest.importorskip("fcntl", reason="this system has no such locks")


@pytest.mark.parametrize("first_is_share", [False, True])
def test_a_whole_run_works_alone(first_is_share: bool, tmp_path: Path) -> None:
    with lock_results(tmp_path, shared=first_is_share) as lock:
        assert lock.alone
        if first_is_share:
            lock.let_others_in()
        with pytest.raises(TmgcError, match="another is at work"), lock_results(tmp_path, shared=False):
            pass
    with lock_results(tmp_path, shared=False) as lock:
        assert lock.alone


def test_shares_wait_until_the_first_lets_them_in(tmp_path: Path) -> None:
    def second() -> bool:
        with lock_results(tmp_path, shared=True) as lock:
            order.append("second")
            return lock.alone

    order = list[str]()
    with ThreadPoolExecutor() as pool, lock_results(tmp_path, shared=True) as lock:
        waiting = pool.submit(second)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=1.2)
        order.append("first")
        lock.let_others_in()
        assert not waiting.result(timeout=20)
    assert order == ["first", "second"]


def test_where_the_first_share_ends_before_it_lets_others_in_another_takes_its_place(tmp_path: Path) -> None:
    def second() -> bool:
        with lock_results(tmp_path, shared=True) as lock:
            return lock.alone

    with ThreadPoolExecutor() as pool:
        with lock_results(tmp_path, shared=True):
            waiting = pool.submit(second)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.7)
        assert waiting.result(timeout=20)


def test_only_who_is_alone_removes_what_interruptions_have_left(tmp_path: Path) -> None:
    with lock_results(tmp_path, shared=True) as lock:
        lock.let_others_in()
        (tmp_path / ".part-other").touch()
        with lock_results(tmp_path, shared=True):
            assert (tmp_path / ".part-other").exists()
    with lock_results(tmp_path, shared=True):
        assert not (tmp_path / ".part-other").exists()


def test_where_the_disk_locks_no_files_nothing_is_removed_since_others_may_be_writing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with lock_results(tmp_path, shared=True) as first:
        assert first.alone
        assert not first.surely_alone
        with atomic_write(tmp_path / SHARDS / "a.parquet") as partial, lock_results(tmp_path, shared=True):
            partial.write_bytes(b"rows")
    assert (tmp_path / SHARDS / "a.parquet").read_bytes() == b"rows"
