"""CellPatch + STAGATE's speed and memory beside its mathematics done plainly, in one run.

    python tests/bench/cellpatch_stagate_speed.py --section FILE.h5ad [--cells 600]

A strip of a real section, all its cells at once: the plain side holds a weight for every cell,
patch and gene, of a whole Visium slide more than a workstation has. Sides take turns, medians are
of all turns, a ratio is the median of the turns' ratios. ``--part memory --side SIDE`` updates
three times, in a process of its own, and tells the peak. Prints markdown tables.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from measuring import Clock, Run, Time, Turns, in_turns, machine, peak_so_far, rate, speed_up, table
from plain_cellpatch_stagate import PlainUnion
from stagate_speed import UPDATES, run_ours
from tagscope import api
from tagscope.core.section import Section
from tagscope.domains.stagate import variable_cells
from tagscope.memory import keep_freed_memory
from tagscope.models.cellpatch.convert import GENES, encoder_names
from tagscope.models.cellpatch_stagate.network import CellPatchStagate
from tagscope.models.stagate.graph import Graph, graph_of
from tagscope.training.cellpatch_stagate import UnionConfig, joined_network
from tagscope.training.stagate import Cells, Updates

PLAIN, OURS = "plain", "TAGscope"
Given = tuple[sp.csr_matrix, Graph, CellPatchStagate]


def read(path: Path, count: int, config: UnionConfig) -> Given:
    """The ``count`` cells of a section that lie most to its left."""
    section = api.read_section(path)
    left = np.sort(np.argsort(section.xy[:, 0], kind="stable")[:count])
    section = Section(section.cells.take(left), section.xy[left])
    cells = variable_cells(section.cells, config.most_genes)
    return cells.values, graph_of(section), joined_network(config, cells.panel)


def plain_of(network: CellPatchStagate) -> PlainUnion:
    """The plain side, of the same weights."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    config = network.patches.config
    patches = {theirs: state[f"patches.{ours}"] for theirs, ours in encoder_names(config)}
    patches["pathway_token"] = patches["pathway_token"].unsqueeze(0)
    patches[GENES] = patches[GENES].roll(1, 0)  # the row of padding comes first
    graph = {name: state[f"graph.{name}"] for name in ("first", "second", "source", "target")}
    last = state["tell.weight"], state["tell.bias"]
    return PlainUnion(patches, config, graph, *last, network.concatenate)


def run_plain(plain: PlainUnion, x: torch.Tensor, edges: tuple[torch.Tensor, torch.Tensor],
              device: torch.device) -> Run:  # fmt: skip
    genes = torch.arange(1, x.shape[1] + 1, device=device)
    clock = Clock(device)
    losses = [clock("update", partial(plain.step, genes, x, *edges)) for _ in range(UPDATES)]
    return Run(losses, clock.seconds)


def sides_of(given: Given, config: UnionConfig, device: torch.device) -> dict[str, partial[Run]]:
    values, graph, network = given
    cells = Cells(values, graph, [np.arange(len(graph))], device)
    edges = cells.whole.near.coding
    x = torch.from_numpy(values.toarray()).to(device)
    plain = plain_of(network.to(device))
    return {
        PLAIN: partial(run_plain, plain, x, (edges.columns, edges.rows), device),
        OURS: partial(run_ours, Updates(network.train(), config), cells, device),
    }


def report(given: Given, config: UnionConfig, turns: Turns) -> None:
    """Seconds of an update of all cells, and how far the losses are apart."""
    runs = in_turns(sides_of(given, config, turns.device), turns)
    apart = max(
        abs(a - b) / b
        for ours, plain in zip(runs[OURS], runs[PLAIN], strict=True)
        for a, b in zip(ours.answer, plain.answer, strict=True)
    )
    rows = [
        (side, f"{1 / rate(runs[side], 'update', UPDATES):.3f}",
         f"{speed_up(runs, side, PLAIN, 'update'):.2f}×")
        for side in (PLAIN, OURS)
    ]  # fmt: skip
    values = given[0]
    density = values.nnz / (values.shape[0] * values.shape[1])
    table(
        f"{values.shape[0]:,} cells, {values.shape[1]:,} genes ({density:.1%} not 0), "
        f"{len(runs[PLAIN])} turns", ("side", "seconds an epoch", "over plain"), rows,
    )  # fmt: skip
    print(f"\nLosses of ours and plain differ by {apart:.0e} at most, relative to them.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--section", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=600)
    parser.add_argument("--most-genes", type=int, default=3000)
    parser.add_argument("--patches", type=int, default=64, help="64 as published")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--part", choices=("epochs", "memory"), default="epochs")
    parser.add_argument("--side", choices=(PLAIN, OURS), default=OURS)
    parser.add_argument("--rounds", type=int, default=5, help="turns of every side at most")
    parser.add_argument("--seconds", type=float, default=120, help="for all turns, about")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time", choices=("wall", "cpu"), default="wall", help="what is counted")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    keep_freed_memory()
    Time.use(chosen.time)
    torch.set_float32_matmul_precision("highest")
    config = UnionConfig(
        device=chosen.device, most_genes=chosen.most_genes, patches=chosen.patches,
        learning_rate=1e-3,  # the plain side's
    )  # fmt: skip
    given = read(chosen.section, chosen.cells, config)
    torch.set_num_threads(chosen.threads)  # scanpy's numba has set its own
    if chosen.part == "memory":
        before = peak_so_far()
        sides_of(given, config, device)[chosen.side]()
        print(f"{chosen.side}: {(peak_so_far() - before) / 1e6:,.0f} MB beyond what was held")
        return
    report(given, config, Turns(device, chosen.rounds, chosen.seconds))
    print(f"\n{machine(device)}")


if __name__ == "__main__":
    main()
