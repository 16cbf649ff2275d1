"""A narrow OmniCell that has learned nothing, as a bundle."""

from __future__ import annotations

from pathlib import Path

import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.models.bundle import Bundle, save_bundle
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.model import CAPABILITIES
from tagscope.models.omnicell.network import OmniCellNetwork

CONFIG = OmniCellConfig(width=16, ffn=16, layers=1, heads=2, rotary_width=8)


def small_omnicell(out: Path, panel: GenePanel, pooling: str = "expressed") -> Bundle:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = OmniCellNetwork(CONFIG, len(panel) + 2)
    return save_bundle(
        out,
        model="omnicell",
        config=CONFIG.to_dict(),
        panel=panel,
        labels=LabelSet(()),
        preprocessing={"transform": "soft rank", "um_per_unit": 1.0, "pooling": pooling},
        capabilities=CAPABILITIES,
        training={},
        state=network.state_dict(),
    )
