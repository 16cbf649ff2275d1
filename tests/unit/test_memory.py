"""Freed memory: kept while computing, given back afterwards."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tagscope.memory import give_back_freed_memory, keep_freed_memory

GLIBC = platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"

HOLDS = """
import numpy as np, psutil
from tagscope.memory import give_back_freed_memory, keep_freed_memory

held = lambda: psutil.Process().memory_info().rss
assert keep_freed_memory()
before = held()
arrays = [np.ones(1 << 20) for _ in range(40)]  # 8 MB each
del arrays[:-1]
kept = held() - before
assert give_back_freed_memory()
print(kept, held() - before)
"""


def test_it_works_where_glibc_runs() -> None:
    assert keep_freed_memory() is GLIBC
    assert GLIBC or not give_back_freed_memory()


@pytest.mark.skipif(not GLIBC, reason="glibc alone keeps freed memory")
def test_what_was_freed_is_kept_until_it_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", HOLDS], capture_output=True, text=True, check=True)
    kept, left = map(int, said.stdout.split())
    assert kept > 200e6
    assert left < 0.1 * kept
