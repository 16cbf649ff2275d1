"""A process killed at random moments while it saves leaves the old result or the new one."""

import json
import random
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
import spatialdata
import zarr

from tagscope.io.h5ad import quietly
from tagscope.io.store import read_table

HERE = Path(__file__).parent
CELLS, GENES = 4_000, 60
KILLS = {"zarr3": 50, "h5ad": 50}  # of each other kind 10


def section(folder, kind, tiny):
    """A section of moderate size: an ``.h5ad``, or a store of a zarr format."""
    values = sp.random_array((CELLS, GENES), density=0.3, format="csr", dtype=np.float32, rng=0)
    if kind == "h5ad":
        made = ad.AnnData(sp.csr_matrix(values))
        made.obsm["spatial"] = tiny.centres(CELLS)
        made.write_h5ad(folder / "x.h5ad")
        return folder / "x.h5ad"
    path = tiny.store(folder / "x.zarr", zarr_format=int(kind[4]), cells=CELLS)
    if kind.endswith("plain"):
        tiny.forget_consolidated(path)
    return path


@pytest.fixture(scope="module")
def writer():
    program = [sys.executable, HERE / "timed_writer.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, **pipes) as process:

        def save(path, value, seconds=0.0):
            process.stdin.write(f"{path} {value} {seconds}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield save
        process.stdin.close()


def found_in(path):
    """The one value of a result that is whole, read by the tools that others use."""
    with quietly():
        table = (
            ad.read_h5ad(path) if path.suffix == ".h5ad" else spatialdata.read_zarr(path)["table"]
        )
    (value,) = set(table.obs["run"])
    assert (table.obsm["X_run"] == value).all()
    assert (table.layers["run_attention"].data == value + 1).all()
    assert table.layers["run_attention"].nnz == table.n_obs * table.n_vars
    return int(value), table.X


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("kind", ["zarr2", "zarr2-plain", "zarr3", "zarr3-plain", "h5ad"])
def test_a_kill_at_a_random_moment(tiny, tmp_path, writer, kind):
    path = section(tmp_path, kind, tiny)
    assert writer(path, 0)["signal"] == 0
    whole = writer(path, 1)
    assert whole["signal"] == 0
    kept, values = found_in(path)
    kills = KILLS.get(kind, 10)
    moments = random.Random(kind).sample(range(100), kills)
    killed, lasts = 0, whole["seconds"]
    for value, moment in enumerate(moments, start=2):
        saved = writer(path, value, lasts * (moment + 1) / 95)
        if saved["signal"] == 9:
            killed += 1
        else:  # the machine may have been busier when the first was timed
            lasts = min(lasts, saved["seconds"])
        found, after = found_in(path)
        assert found in (kept, value)
        assert (after != values).nnz == 0
        kept = found
    assert killed >= kills // 2
    assert writer(path, 99)["signal"] == 0
    assert found_in(path)[0] == 99
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name], "remains are swept"
    if kind in ("zarr2", "zarr3"):
        assert set(zarr.open_group(path, mode="r")["tables/table/obs/run"][:]) == {99}
    assert set(read_table(path).obs["run"]) == {99}
