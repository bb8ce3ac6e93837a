"""What libraries in C write to standard error goes nowhere, and what Python writes arrives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from edge_runtime.native_stderr import silence_native_stderr
from tests.conftest import until


def test_native_output_goes_nowhere_meanwhile_and_arrives_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    with silence_native_stderr():
        os.write(2, b"native\n")
        with silence_native_stderr():
            os.write(2, b"native\n")
        os.write(2, b"native\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_standard_error_is_restored_by_the_last_of_several_threads(capfd: pytest.CaptureFixture[str]) -> None:
    silent, may_end = threading.Event(), threading.Event()

    def call_a_library() -> None:
        with silence_native_stderr():
            silent.set()
            may_end.wait()

    thread = threading.Thread(target=call_a_library)
    with silence_native_stderr():
        thread.start()
        until(silent.is_set)
    os.write(2, b"native\n")
    may_end.set()
    thread.join()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


HANGING_LIBRARY = """
import logging, os, sys, threading
from edge_runtime.logs import setup_logging
from edge_runtime.native_stderr import silence_native_stderr

stream, silent = sys.stderr, threading.Event()
setup_logging()

def call_a_library_that_hangs():
    with silence_native_stderr():
        silent.set()
        threading.Event().wait()

threading.Thread(target=call_a_library_that_hangs, daemon=True).start()
silent.wait()
os.write(2, b"native\\n")
logging.getLogger("tmgc.test").warning("a notice")
print("print", file=stream)
raise RuntimeError("a traceback")
"""


@pytest.mark.parametrize("options", [(), ("-u",)], ids=["buffered", "unbuffered"])
def test_what_python_writes_arrives_while_a_library_hangs(options: tuple[str, ...]) -> None:
    command = [sys.executable, *options, "-c", HANGING_LIBRARY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, second, *rest = done.stderr.splitlines()
    assert (first, second) == ("warning: a notice", "print")
    assert rest[-1] == "RuntimeError: a traceback"
    assert "native" not in done.stderr.split("Traceback")[0]


def test_a_process_without_standard_error_goes_on() -> None:
    program = (
        "import logging, os\nos.close(2)\nimport sys\nsys.stderr = sys.__stderr__ = None\n"
        "from edge_runtime.logs import setup_logging\n"
        "from edge_runtime.native_stderr import silence_native_stderr\n"
        "setup_logging()\n"
        "with silence_native_stderr():\n    logging.getLogger('tmgc.test').warning('lost')\n"
        "print('done')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n"


def test_a_process_with_no_free_descriptor_goes_on_and_is_silent_again_later() -> None:
    program = (
        "import os, resource\nfrom edge_runtime.native_stderr import silence_native_stderr\n"
        "limits = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "free = os.dup(2)\nos.close(free)\n"
        "for count in (free, free + 1):\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (count, limits[1]))\n"
        "    with silence_native_stderr():\n        os.write(2, b'written\\n')\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, limits)\n"
        "with silence_native_stderr():\n    os.write(2, b'silenced\\n')\n"
        "os.write(2, b'afterwards\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "written\nwritten\nafterwards\n")


def test_a_library_call_leaves_the_standard_error_of_its_program_as_it_is() -> None:
    program = (
        "import sys\nfrom edge_runtime import GenreClassifier\nfrom edge_runtime.models import SMALL_MODEL\n"
        "GenreClassifier.open(SMALL_MODEL)\nprint(sys.stderr.fileno())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
