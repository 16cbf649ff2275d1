"""Save results in place, over and over, each time in a process that is killed after some time.

Run as a program. For every line ``<path> <value> <seconds>`` on standard input a fork saves
``obs["run"] = value`` and a matrix of that value in place, and is killed after so many seconds (0:
never). Answers with one JSON line: the signal that ended the fork, and how long it lived.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import anndata  # noqa: F401 - imported before the forks
import h5py  # noqa: F401
import numpy as np
import scipy.sparse as sp
import spatialdata  # noqa: F401

from tagscope.io.readers import SectionSource
from tagscope.io.store import write_results


def save(path, value):
    """In the fork: add a result."""

    def write(table):
        table.obs["run"] = value
        table.obsm["X_run"] = np.full((table.n_obs, 32), value, np.float32)
        table.layers["run_attention"] = sp.csr_matrix(
            np.full(table.shape, value + 1, dtype=np.float32)
        )

    if path.suffix == ".h5ad":
        source = SectionSource(path, "h5ad", None, None, None, None, "unknown")
    else:
        source = SectionSource(path, "spatialdata", "table", "cells", "global", None, "unknown")
    write_results(source, write, path)


def main():
    """Serve requests until standard input ends."""
    for line in sys.stdin:
        path, value, seconds = line.split()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            save(Path(path), int(value))
            os._exit(0)
        if float(seconds):
            time.sleep(float(seconds))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        answer = {"signal": os.WTERMSIG(status), "seconds": time.monotonic() - began}
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
