"""Labels told from a small OmniCell's embeddings of a real section: mouse cortex, osmFISH."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest

from tagscope import api
from tagscope.core.section import Reference


@pytest.mark.slow
def test_heads_tell_the_types_of_the_other_half(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "annotation" / "osmfish.h5ad"
    whole = api.read_reference(path, "cell_type")
    left = anndata.read_h5ad(path).obsm["spatial"][:, 0] < 15_000
    rows = np.flatnonzero(left)
    reference = Reference(whole.cells.take(rows), whole.labels, whole.codes[rows])
    quick = api.PretrainConfig(stage="cells", epochs=2, device="cpu")
    init = api.pretrain(path, out=tmp_path / "omnicell", config=quick)

    config = api.TrainConfig(folds=1, epochs=10, device="cpu")
    bundle = api.train(reference, model="omnicell", init=init, out=tmp_path / "m", config=config)
    table = anndata.read_h5ad(path)[~left].copy()
    table.write_h5ad(tmp_path / "right.h5ad")
    out = tmp_path / "annotated.h5ad"
    result = api.annotate(tmp_path / "right.h5ad", bundle, out=out)

    truth = table.obs["cell_type"].astype(str).to_numpy()
    commonest = np.unique(truth, return_counts=True)[1].max() / len(truth)
    assert (result.annotation.names() == truth).mean() > commonest + 0.2
    written = anndata.read_h5ad(out)
    assert written.obsm["X_omnicell"].shape == (len(table), bundle.config["width"])
    assert written.obsm["omnicell_probabilities"].shape == (len(table), len(bundle.labels))
    report = api.evaluate(out, prediction="omnicell", truth="cell_type")
    assert report.accuracy > commonest + 0.2
