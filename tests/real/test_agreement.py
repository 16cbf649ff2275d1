"""Three models beside each other on a real section: mouse hypothalamus, MERFISH."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest

from tagscope import api
from tagscope.cli.main import main


@pytest.mark.slow
def test_where_models_agree_they_are_right_more_often(shared: Path, tmp_path: Path) -> None:
    whole = anndata.read_h5ad(shared / "data/annotation/merfish_hypothalamus_3samples.h5ad")
    own = (whole.obs["animal"].astype(str) == "1").to_numpy()
    paths = tmp_path / "reference.h5ad", tmp_path / "section.h5ad"
    for path, rows in zip(paths, (~own, own), strict=True):
        whole[np.flatnonzero(rows)[::2]].copy().write_h5ad(path)
    section = paths[1]
    config = api.TrainConfig(folds=1, epochs=4, device="cpu")
    for model in ("cellmemory", "cellpatch"):
        bundle = api.train(paths[0], "cell_type", model, out=tmp_path / model, config=config)
        api.annotate(section, bundle, out=section)
    init = api.pretrain(
        paths[0], out=tmp_path / "init",
        config=api.PretrainConfig(stage="cells", epochs=1, device="cpu"),
    )  # fmt: skip
    bundle = api.train(
        paths[0], "cell_type", "omnicell", init=init, out=tmp_path / "omnicell",
        config=api.TrainConfig(folds=1, epochs=8, device="cpu"),
    )  # fmt: skip
    api.annotate(section, bundle, out=section)

    out = str(tmp_path / "agreement")
    assert main(["agree", str(section), "--out", out, "--into", str(section)]) == 0
    found = api.agree(section)
    assert found.models == ("cellmemory", "cellpatch", "omnicell")
    table = anndata.read_h5ad(section)
    np.testing.assert_array_equal(
        table.obs["agreement"].astype(str), np.array(found.kinds.names)[found.kind]
    )
    truth = table.obs["cell_type"].astype(str).to_numpy()
    right = table.obs["cellmemory"].astype(str).to_numpy() == truth
    agreed = found.agreeing == 3
    assert 0.3 < agreed.mean() < 1
    assert right[agreed].mean() > right[~agreed].mean() + 0.04
    # those most in doubt are wrong more often than those least so
    doubtful, sure = found.order[: len(found) // 4], found.order[-len(found) // 4 :]
    assert right[sure].mean() > right[doubtful].mean() + 0.04
