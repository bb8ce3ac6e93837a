"""Too little memory, told before a native library meets it: such libraries print, abort or send signals instead."""

from __future__ import annotations

import errno
import mmap

from edge_runtime.errors import TooLittleMemoryError

LISTENING_MB = 190
"""Address space that numpy with its BLAS, soundfile and an interpreter take, MB; measured with ``ulimit -v``."""

_SIGNS = (
    "failed to map segment",
    "cannot allocate memory",
    "bad_alloc",
    "memoryerror",
    "can't start new thread",
    "openblas error: memory allocation",
    "blas_thread_init: pthread_create failed",
)
"""How the dynamic loader, C, C++, Python and NumPy's BLAS say that memory has run out."""

_NO_SIGN = "static tls block"
"""Space for variables of threads that the loader sets aside at the start: on ARM too little for some libraries,
whatever the limit."""


def require_memory(megabytes: int) -> None:
    """Check that this process may still take so much address space. Nothing is taken.

    Parameters
    ----------
    megabytes : int > 0, MB

    Raises
    ------
    TooLittleMemoryError
        A limit forbids it.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows has no such limits
        return
    try:
        # Read-only pages that nobody touches cost no memory: only a limit can refuse them.
        mmap.mmap(-1, megabytes * 10**6, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        raise TooLittleMemoryError(memory_line(f"{megabytes} MB are needed and a limit forbids them")) from None


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = str(error).lower()
    return _NO_SIGN not in text and any(sign in text for sign in _SIGNS)


def memory_line(what: str) -> str:
    """The message for a person."""
    return f"there is too little memory: {what}. Raise the limit (ulimit -v, LimitAS=), or end other programs"
