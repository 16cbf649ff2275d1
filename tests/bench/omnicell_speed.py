"""OmniCell's speed and memory beside the published mathematics done plainly, in one run.

    python tests/bench/omnicell_speed.py [--quick] [--device cuda] [--part inference ...]

Published size, random weights, simulated cells of 500 genes, alone and with 9 neighbours. Both
sides take turns; medians are of all turns, a ratio is the median of the turns' ratios. Prints
markdown tables. Needs torch and numpy alone (``PYTHONPATH=src``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from measuring import Clock, Run, Time, Turns, in_turns, machine, rate, speed_up, table
from plain_omnicell import PlainOmniCell
from roofline import Ceilings, count, measure_ceilings
from tagscope.memory import keep_freed_memory
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.convert import to_published
from tagscope.models.omnicell.network import OmniCellNetwork, Sequences, balance

PARTS = ("ceilings", "inference", "training")
VOCABULARY = 60_607
SHARE = 0.3  # of the genes that a cell expresses
PLAIN, ALL, CENTRE, FEW = "plain", "TAGscope, all blocks", "TAGscope", "TAGscope, expressed genes"
WAYS = (PLAIN, ALL, CENTRE, FEW)
TOKENS = {"cpu": 1 << 11, "cuda": 1 << 17}  # of one batch
CELLS = {"cpu": {0: 8, 9: 1}, "cuda": {0: 2048, 9: 208}}


@dataclass(frozen=True)
class Case:
    """``cells`` cells of ``genes`` genes, read with ``neighbours`` others."""

    genes: int
    neighbours: int
    cells: int

    def __str__(self) -> str:
        beside = f"with {self.neighbours} neighbours" if self.neighbours else "alone"
        return f"{self.genes} genes, {beside}"

    @cached_property
    def ranks(self) -> np.ndarray:
        """Soft ranks of the cells, (N, genes): a share of the genes is expressed."""
        rng = np.random.default_rng(0)
        shape = max(self.cells, self.neighbours + 1), self.genes
        ranks = np.ceil(rng.random(shape) * 8) / 8 * 5
        return (ranks * (rng.random(shape) < SHARE)).astype(np.float32)

    def sequences(self, rows: np.ndarray) -> tuple[Sequences, Tensor]:
        """Some cells, with others drawn beside them, and which tokens are expressed genes."""
        rng = np.random.default_rng(1)
        others = rng.integers(0, len(self.ranks), (len(rows), self.neighbours))
        members = np.concatenate((rows[:, None], others), axis=1)
        values = np.pad(self.ranks[members], ((0, 0), (0, 0), (1, 1)))
        read = torch.from_numpy(values)
        places = torch.from_numpy(rng.uniform(0, 200, (*members.shape, 2)).astype(np.float32))
        genes = torch.arange(self.genes + 2)
        return Sequences(genes, read, places if self.neighbours else None), read > 0

    def expressed(self, rows: np.ndarray) -> tuple[Sequences, Tensor]:
        """The same cells over the genes that each expresses, padded to the longest."""
        whole, counted = self.sequences(rows)
        there = counted.clone()
        there[..., (0, -1)] = True
        order = torch.argsort(~there, dim=-1, stable=True)[..., : int(there.sum(-1).max())]
        padding = ~there.gather(-1, order)
        values = whole.values.gather(-1, order)
        return Sequences(order, values, whole.places, padding), values > 0

    def rows(self, tokens: int) -> list[np.ndarray]:
        """Rows of one batch after the other."""
        step = max(1, tokens // ((1 + self.neighbours) * (self.genes + 2)))
        return [np.arange(a, min(a + step, self.cells)) for a in range(0, self.cells, step)]


@dataclass(frozen=True)
class Sides:
    """The two networks of like weights, on a device."""

    config: OmniCellConfig
    vocabulary: int
    device: torch.device

    @cached_property
    def network(self) -> OmniCellNetwork:
        torch.manual_seed(0)
        return OmniCellNetwork(self.config, self.vocabulary).eval().to(self.device)

    @cached_property
    def plain(self) -> PlainOmniCell:
        weights = to_published(self.network.state_dict(), self.config)
        return PlainOmniCell({k: v.clone() for k, v in weights.items()}, self.config)

    @cached_property
    def reduced(self) -> tuple[OmniCellNetwork, PlainOmniCell]:
        """Both in bf16."""
        network = OmniCellNetwork(self.config, self.vocabulary).to(self.device)
        network.load_state_dict(self.network.state_dict())
        return network.eval().bfloat16(), self.plain.to(self.device, torch.bfloat16)

    def read_genes(self, case: Case) -> Tensor:
        """Vocabulary rows of start, genes and end."""
        genes = torch.randperm(self.vocabulary - 4, generator=torch.Generator().manual_seed(0))
        ends = torch.tensor([self.vocabulary - 4]), torch.tensor([self.vocabulary - 3])
        return torch.cat((ends[0], genes[: case.genes], ends[1])).to(self.device)


def run_ours(
    sides: Sides, case: Case, network: OmniCellNetwork, cells: int | None, few: bool = False
) -> Run:
    """All cells of a case; the answer is the centres' embeddings."""
    clock, found = Clock(sides.device), []
    with torch.inference_mode():
        genes = network.table(sides.read_genes(case))
        for rows in case.rows(TOKENS[sides.device.type] * (3 if few else 1)):
            read, expressed = (case.expressed if few else case.sequences)(rows)
            read, expressed = read.to(sides.device), expressed.to(sides.device)
            said = clock("network", partial(network.pooled, genes, read, expressed, cells=cells))
            found.append(F.normalize(said[:, 0], dim=-1).float().cpu())
    return Run(torch.cat(found), clock.seconds)


def run_plain(sides: Sides, case: Case, network: PlainOmniCell) -> Run:
    """The same, plainly."""
    clock, found, genes = Clock(sides.device), [], sides.read_genes(case)
    with torch.inference_mode():
        for rows in case.rows(TOKENS[sides.device.type]):
            read, expressed = case.sequences(rows)
            cells = read.values.shape[1]
            tokens = genes.repeat(len(rows), cells)
            values, mask = read.values.flatten(1).to(sides.device), expressed.to(sides.device)
            places = torch.zeros(len(rows), cells, 2) if read.places is None else read.places
            places = places.repeat_interleave(case.genes + 2, dim=1).to(sides.device)
            said = clock("network", partial(network.cells, tokens, values, places, mask, cells))
            found.append(said[:, 0].float().cpu())
    return Run(torch.cat(found), clock.seconds)


def report_inference(sides: Sides, cases: Iterable[Case], turns: Turns, ceilings: Ceilings | None
                     ) -> None:  # fmt: skip
    """Speed, agreement, memory, and the share of the ceilings reached."""
    speed, agreement, shares = [], [], []
    for case in cases:
        network, plain = sides.reduced
        ways: dict[str, Callable[[], Run]] = {
            PLAIN: partial(run_plain, sides, case, sides.plain),
            ALL: partial(run_ours, sides, case, sides.network, None),
            CENTRE: partial(run_ours, sides, case, sides.network, 1),
            f"{PLAIN}, bf16": partial(run_plain, sides, case, plain),
            f"{ALL}, bf16": partial(run_ours, sides, case, network, None),
            f"{CENTRE}, bf16": partial(run_ours, sides, case, network, 1),
            FEW: partial(run_ours, sides, case, sides.network, 1, few=True),
            f"{FEW}, bf16": partial(run_ours, sides, case, network, 1, few=True),
        }
        runs = in_turns(ways, turns)
        exact = runs[PLAIN][-1].answer
        for precision in ("", ", bf16"):
            names = [f"{way}{precision}" for way in WAYS]
            speed.append((f"{case}{precision or ', fp32'}",
                          *(rate(runs[name], "network", case.cells) for name in names),
                          *(f"{speed_up(runs, name, names[0], 'network'):.2f}×"
                            for name in names[1:]),
                          *(f"{peak(ways[name], sides.device)}" for name in names)))  # fmt: skip
        for name in ways:
            said = runs[name][-1].answer
            cosine = F.cosine_similarity(said, exact, dim=1)
            agreement.append((case, name, f"{(said - exact).abs().max():.0e}",
                              f"{cosine.min():.6f}"))  # fmt: skip
        if ceilings is not None:
            shares += list(shares_of(sides, case, runs, ceilings))
    table("Centres embedded a second, and the peak of memory", (
        "case", *WAYS, *(f"{way} over plain" for way in WAYS[1:]),
        *(f"MB {way}" for way in WAYS)), speed)  # fmt: skip
    table("Against plain fp32", ("case", "side", "largest difference", "smallest cosine"),
          agreement)  # fmt: skip
    if shares:
        table("Arithmetic", ("case", "side", "GFLOP a centre", "TFLOP/s", "of the ceiling"), shares)


def shares_of(sides: Sides, case: Case, runs: dict[str, list[Run]], ceilings: Ceilings
              ) -> Iterable[tuple[object, ...]]:  # fmt: skip
    """What every side computes for a centre, and how near it comes to the machine's ceiling."""
    few = Case(case.genes, case.neighbours, 1)
    for way in (PLAIN, ALL, CENTRE):
        if way == PLAIN:
            work = count(partial(run_plain, sides, few, sides.plain))
        else:
            work = count(partial(run_ours, sides, few, sides.network, 1 if way == CENTRE else None))
        for name, precision in ((way, "fp32"), (f"{way}, bf16", "bf16")):
            done = work.flops * rate(runs[name], "network", case.cells)
            yield (case, name, f"{work.flops / 1e9:.1f}", f"{done / 1e12:.3g}",
                   f"{100 * done / ceilings.flops[precision]:.0f} %")  # fmt: skip


def peak(run: Callable[[], Run], device: torch.device) -> str:
    """Most memory on the card beyond what lay there, in MB."""
    if device.type != "cuda":
        return "–"
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    run()
    return f"{(torch.cuda.max_memory_allocated() - held) / 1e6:,.0f}"


def report_training(sides: Sides, cases: Iterable[Case], turns: Turns) -> None:
    """Forward, Huber loss on masked ranks, backward and AdamW, in bf16 where it pays."""
    rows = []
    for case in cases:
        torch.manual_seed(0)
        network = OmniCellNetwork(sides.config, sides.vocabulary).to(sides.device).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
        batch = case.rows(TOKENS[sides.device.type] // 4)[0]
        read = case.sequences(batch)[0].to(sides.device)
        genes = sides.read_genes(case)
        for name, reduce in (("fp32", False), ("bf16", True)):
            step = partial(one_step, network, optimizer, genes, read, reduce)
            runs = in_turns({name: partial(timed_step, step, sides.device)}, turns)
            rows.append((case, name, len(batch), rate(runs[name], "step", len(batch))))
    table("Training, centres a second", ("case", "precision", "batch", "centres/s"), rows)


def timed_step(step: Callable[[], None], device: torch.device) -> Run:
    clock = Clock(device)
    clock("step", step)
    return Run(None, clock.seconds)


def one_step(network: OmniCellNetwork, optimizer: torch.optim.Optimizer, genes: Tensor,
             read: Sequences, reduce: bool) -> None:  # fmt: skip
    with torch.autocast(genes.device.type, torch.bfloat16, enabled=reduce):
        found = network.table(genes)
        hidden = network(found, read)
        said = network.scores(hidden).float()
    wanted = read.values[:, :, 1:-1]
    masked = wanted > 0
    loss = F.huber_loss(said[masked], wanted[masked])
    loss = loss + 0.05 * balance(found, torch.ones(len(genes), device=genes.device))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny network, to see that it runs")
    parser.add_argument("--device", default="cpu", choices=sorted(CELLS))
    parser.add_argument("--part", action="append", choices=PARTS, help="these parts alone")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every side at most")
    parser.add_argument("--seconds", type=float, default=60, help="per case, about")
    chosen = parser.parse_args()
    parts, device = chosen.part or PARTS, torch.device(chosen.device)
    keep_freed_memory()
    Time.use("wall")
    torch.set_float32_matmul_precision("highest")
    cells = CELLS[chosen.device]
    config, vocabulary, genes = OmniCellConfig(dropout=0.0), VOCABULARY, 500
    if chosen.quick:
        config = OmniCellConfig(width=64, ffn=128, layers=2, heads=4, rotary_width=16, dropout=0.0)
        vocabulary, genes, cells = 304, 60, {0: 16, 9: 4}
    cases = [Case(genes, neighbours, number) for neighbours, number in cells.items()]
    turns = Turns(device, chosen.rounds, chosen.seconds)
    print(f"{machine(device)}\n{config}")
    sides = Sides(config, vocabulary, device)
    ceilings = measure_ceilings(device, chosen.quick) if "ceilings" in parts else None
    if ceilings:
        table("Ceilings measured", ("what", "at best"), [
            *((f"matrix product, {name}", f"{flops / 1e12:.3g} TFLOP/s")
              for name, flops in ceilings.flops.items()),
            ("copy, read and written", f"{ceilings.copy / 1e9:,.0f} GB/s")])  # fmt: skip
    if "inference" in parts:
        report_inference(sides, cases, turns, ceilings)
    if "training" in parts:
        report_training(sides, cases, turns)
    print(f"\n{machine(device)}")


if __name__ == "__main__":
    main()
