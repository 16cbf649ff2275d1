"""One update of a tiny pretraining, alone or as one of torchrun's processes; saves its gradients.

usage: pretraining_update.py OUT
"""

from __future__ import annotations

import sys

import numpy as np
import scipy.sparse as sp
import torch

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section
from tagscope.io.cell_source import source_of
from tagscope.jobs import JobContext
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.network import OmniCellNetwork
from tagscope.training import pretrain_loop
from tagscope.training.corpus import Corpus, held_out, part_of, values_of
from tagscope.training.parallel import joined
from tagscope.training.pretrain_omnicell import OmniCellPretrainLoop, ranked
from tagscope.training.pretrain_recipe import PretrainConfig, pretrain_recipe_of

CELLS, GENES = 40, 10
NETWORK = OmniCellConfig(width=16, ffn=24, layers=2, heads=2, rotary_width=8, dropout=0.1)


def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    panel = GenePanel(tuple(f"G{i}" for i in range(GENES)))
    counts = sp.csr_matrix(rng.poisson(1.0, (CELLS, GENES)).astype(np.float32))
    ids = np.array([f"c{i}" for i in range(CELLS)])
    source = source_of(Section(Cells(counts, panel, ids), rng.uniform(0, 50, (CELLS, 2))))
    ranks = values_of(source, panel, ranked, None, JobContext())
    rows = np.array([GENES, *range(GENES), GENES + 1])
    return Corpus((part_of(source, ranks, rows, held_out(CELLS, 0.1, 10, 0), 3, 1.0),))


def main() -> None:
    torch.set_num_threads(1)
    pretrain_loop._CHUNK["cpu"] = 6 * 4 * (GENES + 2) * NETWORK.ffn  # six cells
    torch.manual_seed(0)
    network = OmniCellNetwork(NETWORK, GENES + 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    recipe = pretrain_recipe_of(PretrainConfig())
    device = torch.device("cpu")
    with joined(device) as world:
        loop = OmniCellPretrainLoop(
            network, optimizer, recipe, corpus(), "spatial", 0, 0, device, torch.float32, world
        )
        network.train()
        found = loop.update(loop.training, 0, JobContext())
        held = loop.validate(JobContext())
        gradients = {name: p.grad for name, p in network.named_parameters()}
        if world.leads:
            told = {"size": world.size, "found": found, "validation": held}
            torch.save({"gradients": gradients, **told}, sys.argv[1])


if __name__ == "__main__":
    main()
