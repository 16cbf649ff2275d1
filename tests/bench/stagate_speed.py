"""STAGATE's speed and memory beside the published mathematics done plainly, in one run.

    python tests/bench/stagate_speed.py [--section FILE.h5ad] [--quick] [--device cuda]
    python tests/bench/stagate_speed.py --part large [--cells 300000] [--genes 300]

``epochs``: a section of the size of a Visium slide, simulated if none is given, all cells at once;
both sides take turns, medians are of all turns, a ratio is the median of the turns' ratios.
``large``: simulated cells at random places, in patches, ours alone: seconds and the peak of the
process, so give it a process of its own. Prints markdown tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from measuring import (
    Clock,
    Run,
    Time,
    Turns,
    in_turns,
    machine,
    peak_so_far,
    rate,
    speed_up,
    table,
)
from plain_stagate import PlainStagate
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells as Measured
from tagscope.core.section import Section
from tagscope.jobs import JobContext, Progress
from tagscope.memory import keep_freed_memory
from tagscope.models.stagate.graph import Graph, graph_of
from tagscope.models.stagate.network import StagateNetwork
from tagscope.training.stagate import Cells, StagateConfig, Updates, learn

PARTS = ("epochs", "large")
PLAIN, OURS, PUBLISHED = "plain", "TAGscope", "TAGscope, published trajectory"
SPOTS, GENES, SHARE = 3639, 3000, 0.086  # of a slide of human cortex, and its values that are not 0
UPDATES = 3  # of a turn
_DRAWN = 10_000  # cells at a time


def read(path: Path) -> tuple[sp.csr_matrix, np.ndarray, Graph]:
    """Log-normalised values, places and graph of a real section."""
    from tagscope import api
    from tagscope.domains.stagate import variable_cells

    section = api.read_section(path)
    cells = variable_cells(section.cells, StagateConfig().most_genes)
    return cells.values, section.xy, graph_of(section)


def drawn(cells: int, genes: int, share: float) -> tuple[sp.csr_matrix, np.ndarray, Graph]:
    """Cells at random places, of which a share of the values is not 0."""
    rng = np.random.default_rng(0)
    parts = [  # by part: what drawing takes would hide what learning takes
        sp.random(min(_DRAWN, cells - at), genes, share, "csr", np.float32, random_state=rng)
        for at in range(0, cells, _DRAWN)
    ]
    values = sp.vstack(parts, "csr")
    del parts
    values.data = np.log1p(rng.integers(1, 6, values.nnz, np.int8), dtype=np.float32)
    xy = rng.uniform(0, 10 * cells**0.5, (cells, 2))
    measured = Measured(
        values, GenePanel(tuple(map(str, range(genes)))), np.arange(cells).astype(str)
    )
    return values, xy, graph_of(Section(measured, xy))


def run_ours(updates: Updates, cells: Cells, device: torch.device) -> Run:
    clock = Clock(device)
    losses = [clock("update", partial(updates.step, cells.whole))[0] for _ in range(UPDATES)]
    return Run(losses, clock.seconds)


def run_plain(plain: PlainStagate, x: torch.Tensor, edges: tuple[torch.Tensor, torch.Tensor],
              device: torch.device) -> Run:  # fmt: skip
    clock = Clock(device)
    losses = [clock("update", partial(plain.step, x, *edges))[0] for _ in range(UPDATES)]
    return Run(losses, clock.seconds)


def report_epochs(
    given: tuple[sp.csr_matrix, np.ndarray, Graph], hidden: int, turns: Turns
) -> None:
    """Seconds of an update of all cells, and how far the losses are apart."""
    values, _, graph = given
    device = turns.device
    torch.manual_seed(0)
    network = StagateNetwork(values.shape[1], hidden).to(device)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    other = StagateNetwork(values.shape[1], hidden).to(device)
    other.load_state_dict(weights)
    cells = Cells(values, graph, [np.arange(len(graph))], device)
    x = torch.from_numpy(values.toarray()).to(device)
    edges = cells.whole.near.coding
    pair = edges.columns, edges.rows
    name = str(device)
    sides: dict[str, Callable[[], Run]] = {
        PLAIN: partial(run_plain, PlainStagate(**weights), x, pair, device),
        OURS: partial(run_ours, Updates(network, StagateConfig(device=name)), cells, device),
        PUBLISHED: partial(
            run_ours, Updates(other, StagateConfig(device=name, compat="published")), cells, device
        ),
    }
    runs = in_turns(sides, turns)
    apart = max(
        abs(a - b) / b
        for ours, plain in zip(runs[OURS], runs[PLAIN], strict=True)
        for a, b in zip(ours.answer, plain.answer, strict=True)
    )
    rows = [
        (side, f"{1 / rate(runs[side], 'update', UPDATES):.3f}",
         f"{speed_up(runs, side, PLAIN, 'update'):.2f}×", peak(sides[side], device))
        for side in sides
    ]  # fmt: skip
    density = values.nnz / (values.shape[0] * values.shape[1])
    table(
        f"{values.shape[0]:,} cells, {values.shape[1]:,} genes ({density:.1%} not 0), "
        f"{graph.neighbours:.1f} neighbours, {len(runs[PLAIN])} turns",
        ("side", "seconds an epoch", "over plain", "MB"), rows,
    )  # fmt: skip
    print(f"\nLosses of ours and plain differ by {apart:.0e} at most, relative to them.")


def peak(run: Callable[[], Run], device: torch.device) -> str:
    """Most memory on the card beyond what lay there, in MB."""
    if device.type != "cuda":
        return "–"
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    run()
    return f"{(torch.cuda.max_memory_allocated() - held) / 1e6:,.0f}"


def report_large(cells: int, genes: int, epochs: int, device: torch.device) -> None:
    """Seconds and peak memory of a training in patches."""
    values, xy, graph = drawn(cells, genes, 0.3)
    before = peak_so_far()
    times: dict[str, list[float]] = {}

    def listen(progress: Progress) -> None:
        times.setdefault(progress.stage, []).append(Time.now())

    config = StagateConfig(epochs=epochs, device=str(device))
    learned = learn(values, xy, graph, config, JobContext(listen))
    seconds = {stage: marks[-1] - marks[0] for stage, marks in times.items()}
    expression = (values.data.nbytes + values.indices.nbytes + values.indptr.nbytes) / 1e6
    on_card = torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else float("nan")
    table(f"{cells:,} cells, {genes:,} genes, patches", (
        "updates an epoch", "seconds an epoch", "seconds to embed", "MB expression",
        "MB before", "MB at most", "MB on the card", "loss, first epoch", "loss, last epoch",
    ), [(
        learned.updates // epochs, seconds["learning"] / epochs, seconds["embedding"], expression,
        before / 1e6, peak_so_far() / 1e6, on_card, learned.losses[0], learned.losses[-1],
    )])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few cells, to see that it runs")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--part", choices=PARTS, default="epochs")
    parser.add_argument("--section", type=Path, help="a real section, in place of a simulated one")
    parser.add_argument("--cells", type=int, default=300_000, help="of the large section")
    parser.add_argument("--genes", type=int, default=300, help="of the large section")
    parser.add_argument("--epochs", type=int, default=2, help="on the large section")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every side at most")
    parser.add_argument("--seconds", type=float, default=90, help="for all turns, about")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time", choices=("wall", "cpu"), default="wall", help="what is counted")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    keep_freed_memory()
    Time.use(chosen.time)
    torch.set_num_threads(chosen.threads)
    torch.set_float32_matmul_precision("highest")
    print(machine(device))
    if chosen.part == "large":
        cells, genes = (40_000, 50) if chosen.quick else (chosen.cells, chosen.genes)
        report_large(cells, genes, chosen.epochs, device)
    else:
        size = (400, 100) if chosen.quick else (SPOTS, GENES)
        given = read(chosen.section) if chosen.section else drawn(*size, SHARE)
        torch.set_num_threads(chosen.threads)  # scanpy's numba has set its own
        turns = Turns(device, chosen.rounds, chosen.seconds)
        report_epochs(given, 64 if chosen.quick else 512, turns)
    print(f"\n{machine(device)}")


if __name__ == "__main__":
    main()
