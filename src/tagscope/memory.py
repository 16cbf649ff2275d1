"""What becomes of freed memory: kept for the next buffer, or given back."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_NEVER = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep freed buffers and hand them out again; True where that was possible.

    By default every large tensor is mapped afresh and its pages are zeroed by the kernel, which
    costs small networks on a CPU a good part of their time. Affects the whole process from the
    first call on; elsewhere than on Linux with glibc it does nothing.
    """
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))


def give_back_freed_memory() -> bool:
    """Return to the system what glibc kept, of all threads; True if there was something.

    What is kept does not get less by itself: a process that computes now and then, each time
    in another thread, would hold more and more.
    """
    return _has_glibc() and bool(ctypes.CDLL(None).malloc_trim(0))


@cache
def _has_glibc() -> bool:
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"
