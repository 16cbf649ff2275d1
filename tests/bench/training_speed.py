"""Speed of a training step of CellMemory beside the published mathematics done plainly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from apart import Apart
from cellmemory_cases import KEPT, LABELS, OURS, PLAIN, PUBLISHED, SHARES, Case, Settings, networks
from measuring import Run, Time, in_turns, speed_up, table, timed
from plain_cellmemory import read_cells
from tagscope.models.cellmemory.config import CellMemoryConfig

INSTALLED = all(find_spec(name) for name in ("scipy", "pandas", "anndata"))
Ints = npt.NDArray[np.int64]
LOOP = "TAGscope, own loop"


def report_training(settings: Settings) -> None:
    """Forward, backward and Adam on one batch after the other."""
    rows = []
    for sizes, batch, steps in (({}, 140, 2), ({"width": 64, "ffn": 128}, 32, 8)):
        for mode in ("expressed", "full"):
            case = Case(300, mode, SHARES[300], steps * batch)
            runs = training(case, batch, {**settings.sizes, **sizes}, settings)
            times = [1e3 * median(r.seconds["all"] for r in runs[s]) / steps for s in runs]
            width = {"width": 256, **settings.sizes, **sizes}["width"]
            against = [side for side in (PLAIN, KEPT) if side in runs]
            rows.append(
                (
                    f"{case}, width {width}, {batch} cells",
                    *times,
                    *(f"{speed_up(runs, list(runs)[-1], s, 'all'):.2f}×" for s in against),
                )
            )
    quicker = [f"last over {side}" for side in against]
    table("Training step, ms", ("case", *runs, *quicker), rows)


def training(
    case: Case, batch: int, sizes: dict[str, Any], settings: Settings
) -> dict[str, list[Run]]:
    """The plain network and ours, over the same batches of cells in random order."""
    device = settings.device
    published, default = (case.config(c, **sizes) for c in ("published", "none"))
    plain = partial(plain_epoch, case, batch, published, device)
    sides = {PUBLISHED: our_epoch(case, batch, published, device, longest=True),
             OURS: our_epoch(case, batch, default, device, longest=False)}  # fmt: skip
    if INSTALLED:
        sides[LOOP] = _own_loop(case, batch, default, settings)
    if device.type != "cpu":
        return in_turns({PLAIN: plain(), **sides}, settings.turns)
    with Apart(plain) as by_itself:
        return in_turns({PLAIN: by_itself, KEPT: plain(), **sides}, settings.turns)


def plain_epoch(
    case: Case, batch: int, config: CellMemoryConfig, device: torch.device
) -> Callable[[], Run]:
    """An epoch of the plain network, every batch padded to the section's longest cell."""
    network, _ = networks(config, case.genes, device)
    batches = _Shuffled.of(case, batch, config, device)

    def step(start: int) -> torch.Tensor:
        read, genes, _ = batches.arrays(start, longest=True)
        said: torch.Tensor = network(read, genes)[0]
        return said

    return _epoch(network, step, batches.starts, device)


def our_epoch(
    case: Case, batch: int, config: CellMemoryConfig, device: torch.device, *, longest: bool
) -> Callable[[], Run]:
    """An epoch of our network, padded to the section's or to the batch's longest cell."""
    _, network = networks(config, case.genes, device)
    batches = _Shuffled.of(case, batch, case.config("published"), device)

    def step(start: int) -> torch.Tensor:
        read, genes, padding = batches.arrays(start, longest)
        said: torch.Tensor = network(read, torch.where(padding, -1, genes - 1), padding).logits
        return said

    return _epoch(network, step, batches.starts, device)


@dataclass(frozen=True)
class _Shuffled:
    """The cells of a case in batches, drawn at random."""

    tokens: Ints
    gene_ids: Ints
    genes: int
    batch: int
    device: torch.device

    @classmethod
    def of(
        cls, case: Case, batch: int, config: CellMemoryConfig, device: torch.device
    ) -> _Shuffled:
        tokens, gene_ids = read_cells(case.sample, config)
        order = np.random.default_rng(0).permutation(len(tokens))
        return cls(tokens[order], gene_ids[order], case.genes, batch, device)

    @property
    def starts(self) -> range:
        return range(0, len(self.tokens), self.batch)

    def arrays(self, start: int, longest: bool) -> tuple[torch.Tensor, ...]:
        rows = slice(start, start + self.batch)
        real = self.gene_ids[rows] <= self.genes
        width = real.shape[1] if longest else int(real.sum(1).max())
        parts = (self.tokens[rows], self.gene_ids[rows], ~real)
        return tuple(torch.from_numpy(part[:, :width]).to(self.device) for part in parts)


def _own_loop(
    case: Case, batch: int, config: CellMemoryConfig, settings: Settings
) -> Callable[[], Run]:
    """An epoch of TAGscope's own training, which takes a batch in pieces of like length."""
    from tagscope.jobs import JobContext
    from tagscope.models.cellmemory.tokenise import tokenise
    from tagscope.models.preprocessing import Preprocessing
    from tagscope.training.cellmemory import CellMemoryLoop
    from tagscope.training.loop import Examples
    from tagscope.training.recipe import TrainConfig, recipe_of
    from timed_model import cells_of, panel

    device = settings.device
    _, network = networks(config, case.genes, device)
    recipe = recipe_of(TrainConfig(recipe="published", batch_size=batch))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)
    loop = CellMemoryLoop(network, optimizer, recipe, 0, device, torch.float32,
                torch.ones(LABELS, device=device))  # fmt: skip
    cells = cells_of(case.sample)
    tokens = tokenise(cells, panel(case.genes), config, Preprocessing())
    examples = Examples(tokens, np.arange(len(cells)) % LABELS)
    return lambda: timed(lambda: loop.train_epoch(examples, 0, JobContext()))


def _epoch(
    network: nn.Module, step: Callable[[int], torch.Tensor], starts: range, device: torch.device
) -> Callable[[], Run]:
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)
    labels = torch.arange(starts.step, device=device) % LABELS

    def run() -> Run:
        network.train()
        began = Time.now()
        for start in starts:
            optimizer.zero_grad()
            nn.functional.cross_entropy(step(start), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return Run(None, {"all": Time.now() - began})

    return run
