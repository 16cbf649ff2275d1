"""CellPatch's speed and memory beside the published mathematics done plainly, in one run.

    python tests/bench/cellpatch_speed.py [--quick] [--device cuda] [--part annotation ...]
                                          [--section FILE.h5ad ...]

Published size, random weights, simulated cells that express so many genes, of a tenth more or less;
or the cells of real sections, which are annotated in the order of the file. Both sides take turns;
rates are medians of all turns, a ratio is the median of the turns' ratios. Peaks of memory are
those of a process of its own. Prints markdown tables. Needs torch and numpy alone
(``PYTHONPATH=src``) where no section is given.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from measuring import Clock, Run, Time, Turns, in_turns, machine, peak_so_far, rate, speed_up, table
from plain_cellpatch import PlainCellPatch, padded
from tagscope.memory import keep_freed_memory
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.convert import to_published
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes
from tagscope.models.cellpatch.objective import GeneMasking, Masked, told_loss

PARTS = ("annotation", "pretraining")
PLAIN, OURS = "plain", "TAGscope"
LABELS = 11
BATCH = {"annotation": 256, "pretraining": 512}  # cells of the published scripts
CHUNK = {"cpu": 1 << 19, "cuda": 1 << 28}  # scores held at a time in pretraining
READ = {"cpu": 40 << 20, "cuda": 1 << 31}  # bytes of a batch that is annotated
CELLS = {"cpu": 512, "cuda": 1 << 15}


@dataclass(frozen=True)
class Case:
    """Cells that express about ``genes`` of ``vocabulary`` genes."""

    genes: int
    vocabulary: int

    def __str__(self) -> str:
        return f"{self.genes:,} genes"

    def cells(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Places among the genes, ascending, and values, of every cell."""
        rng = np.random.default_rng(0)
        sizes = rng.integers(int(0.9 * self.genes), int(1.1 * self.genes), count)
        places = [np.sort(rng.choice(self.vocabulary, size, replace=False)) for size in sizes]
        return [(one, rng.integers(0, 6, len(one)).astype(np.float32)) for one in places]


@dataclass(frozen=True)
class Real:
    """Cells of a section."""

    name: str
    vocabulary: int
    taken: list[tuple[np.ndarray, np.ndarray]]

    def __str__(self) -> str:
        lengths = [len(places) for places, _ in self.taken]
        return f"{self.name}: {np.mean(lengths):,.0f} genes, {max(lengths):,} at most"

    def cells(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The first ones."""
        return self.taken[:count]

    @classmethod
    def of(cls, path: Path) -> Real:
        """Those of a file, valued as in the published script."""
        from tagscope import api
        from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing

        cells = api.read_section(path).cells
        values = CellPatchPreprocessing(most=5.0, steps="truncated").apply(cells, cells.panel)
        starts = zip(values.indptr[:-1], values.indptr[1:], strict=True)
        taken = [(values.indices[a:b].astype(np.int64), values.data[a:b]) for a, b in starts]
        return cls(path.stem, len(cells.panel), taken)


def genes_of(cells: list[tuple[np.ndarray, np.ndarray]], vocabulary: int) -> Genes:
    """Cells padded to the longest of them."""
    masking = GeneMasking(0.0, most_read=vocabulary)
    return masking.draw(cells, np.arange(vocabulary), np.random.default_rng(0)).read


@dataclass(frozen=True)
class Sides:
    """The two networks of like weights, on a device."""

    config: CellPatchConfig
    genes: int
    labels: int
    device: torch.device

    @cached_property
    def network(self) -> CellPatchNetwork:
        torch.manual_seed(0)
        return CellPatchNetwork(self.config, self.genes, self.labels).to(self.device)

    @cached_property
    def plain(self) -> PlainCellPatch:
        table = torch.zeros(self.genes + 1, self.config.width, device=self.device)
        state, rows = self.network.state_dict(), range(1, self.genes + 1)
        weights = to_published(state, self.config, rows, table, labels=self.labels)
        copies = {name: value.detach().clone() for name, value in weights.items()}
        return PlainCellPatch(copies, self.config).to(self.device)


def annotated(sides: Sides, cells: list[tuple[np.ndarray, np.ndarray]]) -> Run:
    """Labels of all cells, those of like length together, batches as large as suit the device."""
    clock, found = Clock(sides.device), []
    network, config = sides.network.eval(), sides.config
    of_token = 4 * (4 * config.width + config.heads * config.patches)
    lengths = np.array([len(places) for places, _ in cells])
    order, start = np.argsort(-lengths, kind="stable"), 0
    with torch.inference_mode():
        whole = network.table()
        while start < len(cells):
            longest = max(1, int(lengths[order[start]]))
            rows = order[start : start + max(1, READ[sides.device.type] // (of_token * longest))]
            read = genes_of([cells[row] for row in rows], sides.genes).to(sides.device)
            said = clock("all", lambda read=read: network.logits(network(read, whole).patches)[0])
            found.append(said.cpu())
            start += len(rows)
    answer = torch.cat(found)
    return Run(answer[np.argsort(order)], clock.seconds)


def annotated_plainly(sides: Sides, cells: list[tuple[np.ndarray, np.ndarray]]) -> Run:
    """The same in the batches of the published script; pads take part there."""
    clock, found, plain = Clock(sides.device), [], sides.plain.eval()
    with torch.inference_mode():
        for start in range(0, len(cells), BATCH["annotation"]):
            batch = cells[start : start + BATCH["annotation"]]
            read = genes_of(batch, sides.genes).to(sides.device)
            assert read.padding is not None
            genes = padded(read.genes, read.padding)
            work = partial(plain.logits, genes, read.values)
            found.append(clock("all", work).cpu())
    return Run(torch.cat(found), clock.seconds)


def report_annotation(
    config: CellPatchConfig, cases: Sequence[Case | Real], turns: Turns, count: int
) -> None:
    rows = []
    for case in cases:
        sides, cells = Sides(config, case.vocabulary, LABELS, turns.device), case.cells(count)
        ways: dict[str, Callable[[], Run]] = {
            PLAIN: partial(annotated_plainly, sides, cells),
            OURS: partial(annotated, sides, cells),
        }
        runs = in_turns(ways, turns)
        alone = torch.cat([annotated_plainly(sides, [cell]).answer for cell in cells[:16]])
        apart = float((runs[OURS][-1].answer[:16] - alone).abs().max())
        rows.append((case, *(rate(runs[name], "all", len(cells)) for name in ways),
                     f"{speed_up(runs, OURS, PLAIN, 'all'):.2f}×", f"{apart:.0e}"))  # fmt: skip
    table("Annotation, cells a second", (
        "case", PLAIN, OURS, "ratio", "largest difference, cells alone"), rows)  # fmt: skip


def drawn(case: Case, cells: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator,
          device: torch.device) -> Masked:  # fmt: skip
    return GeneMasking().draw(cells, np.arange(case.vocabulary), rng).to(device)


def pretrained(sides: Sides, case: Case, cells: list[tuple[np.ndarray, np.ndarray]]) -> Run:
    """Loss and gradients of a batch, in pieces."""
    network, clock = sides.network.train(), Clock(sides.device)
    network.zero_grad(set_to_none=True)
    config, asked = sides.config, int(case.genes * 0.45)
    widest = config.heads * max(config.patches * case.genes, asked * asked)
    size = max(1, CHUNK[sides.device.type] // widest)

    def step() -> float:
        total, count, rng = 0.0, 0, np.random.default_rng(0)
        for start in range(0, len(cells), size):
            masked = drawn(case, cells[start : start + size], rng, sides.device)
            patches = network(masked.read).patches
            loss = told_loss(network.told(patches, masked.asked, masked.padding), masked)
            loss.backward()
            total, count = total + loss.item(), count + int((~masked.padding).sum())
        return total / count

    return Run(clock("all", step), clock.seconds)


def pretrained_plainly(sides: Sides, case: Case, cells: list[tuple[np.ndarray, np.ndarray]]) -> Run:
    """The same in one piece, pads among the genes."""
    plain, clock = sides.plain.train(), Clock(sides.device)
    plain.zero_grad(set_to_none=True)

    def step() -> float:
        masked = drawn(case, cells, np.random.default_rng(0), sides.device)
        assert masked.read.padding is not None
        genes = padded(masked.read.genes, masked.read.padding)
        told = plain.told(genes, masked.read.values, padded(masked.asked, masked.padding))
        loss = F.mse_loss(told[~masked.padding], masked.values[~masked.padding])
        loss.backward()
        return loss.item()

    return Run(clock("all", step), clock.seconds)


STEPS = {PLAIN: pretrained_plainly, OURS: pretrained}


def report_pretraining(config: CellPatchConfig, case: Case, turns: Turns, batch: int) -> None:
    sides, cells = Sides(config, case.vocabulary, 0, turns.device), case.cells(batch)
    runs = in_turns(
        {name: partial(step, sides, case, cells) for name, step in STEPS.items()}, turns
    )
    rows = [
        (name, rate(runs[name], "all", batch), f"{speed_up(runs, name, PLAIN, 'all'):.2f}×",
         memory(name, turns.device, case, batch), f"{runs[name][-1].answer:.4f}")
        for name in STEPS
    ]  # fmt: skip
    table(f"Pretraining, {case}, batch {batch}", (
        "side", "cells a second", "ratio", "peak, MB", "loss"), rows)  # fmt: skip


def memory(name: str, device: torch.device, case: Case, batch: int) -> str:
    """Most memory of a step beyond what lay there before, in a process of its own."""
    asked = {"step": name, "device": device.type, "batch": batch, **vars(case)}
    words = [f"--{option}={value}" for option, value in asked.items()]
    words = [sys.executable, __file__, *words]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return f"{float(done.stdout.split()[-1]):,.0f}"


def print_memory(chosen: argparse.Namespace) -> None:
    device, case = torch.device(chosen.device), Case(chosen.genes, chosen.vocabulary)
    sides, cells = Sides(CellPatchConfig(dropout=0.0), case.vocabulary, 0, device), None
    cells = case.cells(chosen.batch)
    STEPS[chosen.step](sides, case, cells[:1])
    before = held(device)
    STEPS[chosen.step](sides, case, cells)
    print((held(device) - before) / 1e6)


def held(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated())
    return peak_so_far()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few cells, to see that it runs")
    parser.add_argument("--device", default="cpu", choices=sorted(CELLS))
    parser.add_argument("--section", type=Path, nargs="+", help="real cells to annotate")
    parser.add_argument("--part", action="append", choices=PARTS, help="these parts alone")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="cpu is steadier on a machine that others use")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="turns of every side at most")
    parser.add_argument("--seconds", type=float, default=60, help="per case, about")
    for name in ("batch", "genes", "vocabulary"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    keep_freed_memory()
    Time.use(chosen.clock)
    torch.set_float32_matmul_precision("highest")
    if chosen.step:
        print_memory(chosen)
        return
    device, parts = torch.device(chosen.device), chosen.part or PARTS
    turns = Turns(device, chosen.rounds, chosen.seconds)
    config, count, batch = CellPatchConfig(dropout=0.0), CELLS[chosen.device], BATCH["pretraining"]
    cases = [Case(1000, 1500), Case(3000, 5000)]
    if chosen.quick:
        count, batch, cases = 16, 8, [Case(50, 100)]
    print(f"{machine(device)}\n{config}")
    if "annotation" in parts:
        real = [Real.of(path) for path in chosen.section or ()]
        report_annotation(config, real or cases, turns, count)
    if "pretraining" in parts:
        report_pretraining(config, cases[0], turns, batch)
    print(f"\n{machine(device)}")


if __name__ == "__main__":
    main()
