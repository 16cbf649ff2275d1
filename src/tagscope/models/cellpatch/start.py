"""First weights of a network: those of a bundle, as far as it has them."""

from __future__ import annotations

import numpy as np
import torch

from tagscope.core.panel import GenePanel
from tagscope.models.bundle import Bundle
from tagscope.models.cellpatch.network import SPARE, CellPatchNetwork
from tagscope.models.ensemble import parted_state


@torch.no_grad()
def start_from(network: CellPatchNetwork, panel: GenePanel, init: Bundle) -> None:
    """Give a network over the genes of ``panel`` the weights of ``init``, but for a head's.

    A gene that ``init`` does not know takes a row that was kept for such, in their order, or else
    keeps its random first weights; no row of another gene changes.
    """
    stored = init.state()
    spare = stored.pop(SPARE, None)
    (state, *_), _ = parted_state(stored, int(init.config.get("networks", 1)))
    own, places = network.state_dict(), panel.columns_in(init.panel)
    rows, known = own["genes.weight"], np.flatnonzero(places >= 0)
    rows[torch.from_numpy(known)] = state["genes.weight"][torch.from_numpy(places[known])]
    rows[-1] = state["genes.weight"][-1]
    fresh = np.flatnonzero(places < 0)
    if spare is not None:
        kept = spare[: len(fresh)]
        rows[torch.from_numpy(fresh[: len(kept)])] = kept
    for name, value in own.items():
        if name != "genes.weight" and not name.startswith("head.") and name in state:
            value.copy_(state[name])


def unknown_to(init: Bundle, panel: GenePanel) -> tuple[str, ...]:
    """Genes of a panel that a bundle does not know."""
    return tuple(panel.symbols[gene] for gene in np.flatnonzero(panel.columns_in(init.panel) < 0))
