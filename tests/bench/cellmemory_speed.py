"""CellMemory's speed and memory beside the published mathematics done plainly, in one run.

    python tests/bench/cellmemory_speed.py [--quick] [--device cuda] [--part inference ...]

Published size, random weights, simulated cells. Both sides take turns; medians are of all turns and
a ratio is the median of the turns' ratios. Prints markdown tables. Networks, training and ceilings
need torch and numpy alone (``PYTHONPATH=src``); the public path, binning and its memory need an
installed TAGscope and are left out where there is none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch

from apart import Apart
from cellmemory_cases import (
    KEPT,
    LABELS,
    OURS,
    PLAIN,
    PUBLISHED,
    SHARES,
    Case,
    Settings,
    annotate_ours,
    draw_cells,
    networks,
    our_batches,
    run_ours,
    run_plain,
)
from measuring import (
    Run,
    Time,
    Turns,
    in_turns,
    machine,
    peak_so_far,
    rate,
    speed_up,
    table,
    timed,
)
from plain_cellmemory import PlainAnswer, bin_cells, read_cells, run_network
from roofline import Ceilings, Work, count, measure_ceilings
from tagscope.memory import keep_freed_memory
from tagscope.models.cellmemory.config import CellMemoryConfig
from training_speed import INSTALLED, report_training

PARTS = ("ceilings", "inference", "training", "binning", "memory")
CELLS = {"cpu": {300: 280, 1000: 140, 3000: 140}, "cuda": {300: 20_000, 1000: 5_600, 3000: 1_400}}
BF16 = ", bf16"
ALONE = 8  # cells whose answer is checked against a run of their own


def inference(case: Case, settings: Settings) -> dict[str, list[Run]]:
    """All sides on one case."""
    device = settings.device
    ours = annotate_ours if INSTALLED else run_ours
    published, default = (case.config(c, **settings.sizes) for c in ("published", "none"))
    _, ours_published = networks(published, case.genes, device)
    _, ours_default = networks(default, case.genes, device)
    plain = partial(plain_side, case, published, device)
    sides: dict[str, Callable[[], Run]] = {
        PUBLISHED: partial(ours, case, ours_published, device),
        OURS: partial(ours, case, ours_default, device),
        PLAIN + BF16: plain(torch.bfloat16),
        OURS + BF16: partial(ours, case, ours_default, device, torch.bfloat16),
    }
    if device.type != "cpu":
        return in_turns({PLAIN: plain(), **sides}, settings.turns)
    with Apart(plain) as by_itself:
        return in_turns({PLAIN: by_itself, KEPT: plain(), **sides}, settings.turns)


def plain_side(
    case: Case, config: CellMemoryConfig, device: torch.device,
    precision: torch.dtype = torch.float32,
) -> Callable[[], Run]:  # fmt: skip
    """What annotates the case plainly."""
    network, _ = networks(config, case.genes, device)
    return partial(run_plain, case, network, config, device, precision)


def alone(case: Case, settings: Settings) -> PlainAnswer:
    """The plain answer for the first cells, each read by itself: nothing is padded."""
    config = case.config("published", **settings.sizes)
    network, _ = networks(config, case.genes, settings.device)
    tokens, gene_ids = read_cells(case.sample, config)
    answers = []
    for cell in range(ALONE):
        real = gene_ids[cell] <= case.genes
        one = run_network(
            network, tokens[cell : cell + 1, real], gene_ids[cell : cell + 1, real], settings.device
        )
        logits, embedding, scores = (part.cpu() for part in one[0])
        on_genes = torch.zeros(1, case.genes)
        on_genes[0, gene_ids[cell, real] - 1] = scores[0]
        answers.append((torch.softmax(logits, 1), embedding, on_genes))
    return PlainAnswer(*(torch.cat(part).numpy() for part in zip(*answers, strict=True)))


def differences(found: PlainAnswer, wanted: PlainAnswer) -> list[str]:
    """Largest absolute difference of probabilities, embedding and gene scores."""
    cells = min(len(found.embedding), len(wanted.embedding))
    return [
        f"{abs(getattr(found, part)[:cells] - getattr(wanted, part)[:cells]).max():.0e}"
        for part in ("probabilities", "embedding", "gene_scores")
    ]


def report_inference(settings: Settings, ceilings: Ceilings | None) -> None:
    """Speed of the network and of the whole path, agreement, bf16, distance to the ceilings."""
    found = {}
    for case in settings.cases:
        print(f"{case}: {case.cells} cells", file=sys.stderr)
        found[case] = inference(case, settings)
    stages = {"network": "Network alone, with attention, cells/s"}
    if INSTALLED:
        stages["all"] = "Whole path, from log values to scores by gene, cells/s"
    against = (PLAIN, KEPT) if settings.device.type == "cpu" else (PLAIN,)
    sides = (*against, PUBLISHED, OURS)
    quicker = [f"over {side}" for side in against]
    for stage, title in stages.items():
        table(title, ("case", "genes read", *sides, *quicker), (
            (case, round(_read(case)), *(rate(runs[s], stage, case.cells) for s in sides),
             *(f"{speed_up(runs, OURS, side, stage):.2f}×" for side in against))
            for case, runs in found.items()
        ))  # fmt: skip
    if INSTALLED:
        table("Reading cells alone (bins and tokens), cells/s", ("case", PLAIN, OURS), (
            (case, *(rate(runs[s], "reading", case.cells) for s in (PLAIN, OURS)))
            for case, runs in found.items()
        ))  # fmt: skip
    report_agreement(found, settings)
    report_bf16(found)
    if ceilings:
        report_ceilings(found, settings, ceilings)


def report_agreement(found: dict[Case, dict[str, list[Run]]], settings: Settings) -> None:
    """Largest differences from the plain answers."""
    parts = ("probabilities", "embedding", "gene scores")
    rows = []
    for case, runs in found.items():
        answers = {name: of_side[-1].answer for name, of_side in runs.items()}
        rows.append((case, f"{PUBLISHED}, all cells",
                     *differences(answers[PUBLISHED], answers[PLAIN])))  # fmt: skip
        rows.append((case, f"{OURS}, {ALONE} cells each read alone",
                     *differences(answers[OURS], alone(case, settings))))  # fmt: skip
    table("Largest absolute difference from the plain answer", ("case", "side", *parts), rows)


def report_bf16(found: dict[Case, dict[str, list[Run]]]) -> None:
    """Speed in bf16, and what it changes."""
    rows = []
    for case, runs in found.items():
        exact, rounded = runs[OURS][-1].answer, runs[OURS + BF16][-1].answer
        same = exact.probabilities.argmax(1) == rounded.probabilities.argmax(1)
        rows.append((
            case, *(rate(runs[s + BF16], "network", case.cells) for s in (PLAIN, OURS)),
            f"{speed_up(runs, OURS + BF16, OURS, 'network'):.2f}×",
            f"{100 * same.mean():.1f} %", *differences(rounded, exact)[::2],
        ))  # fmt: skip
    table("Network alone in bf16, cells/s, and agreement with fp32", (
        "case", PLAIN, OURS, "TAGscope, bf16 over fp32", "labels equal", "largest Δ probability",
        "largest Δ score",
    ), rows)  # fmt: skip


def report_ceilings(
    found: dict[Case, dict[str, list[Run]]], settings: Settings, ceilings: Ceilings
) -> None:
    """Arithmetic and traffic of each side, and the share of the machine's ceilings reached."""
    rows = []
    for case, runs in found.items():
        work = work_of(case, settings)
        for side in (PLAIN, OURS, OURS + BF16):
            per_cell = work[side.removesuffix(BF16)]
            cells = rate(runs[side], "network", case.cells)
            top = ceilings.flops["bf16" if side.endswith(BF16) else "fp32"]
            traffic = ("–", "–", "–")
            if not side.endswith(BF16):  # autocast's own copies cannot be counted
                moved = per_cell.bytes * cells
                traffic = (f"{per_cell.bytes / 1e6:.0f}", f"{moved / 1e9:.1f}",
                           f"{100 * moved / ceilings.copy:.0f} %")  # fmt: skip
            rows.append((case, side, f"{per_cell.flops / 1e9:.2f}",
                         f"{per_cell.flops * cells / 1e9:,.0f}",
                         f"{100 * per_cell.flops * cells / top:.0f} %", *traffic))  # fmt: skip
    table("Network alone: arithmetic and traffic", (
        "case", "side", "GFLOP a cell", "GFLOP/s", "of the ceiling",
        "MB a cell", "GB/s", "of the ceiling",
    ), rows)  # fmt: skip


def work_of(case: Case, settings: Settings) -> dict[str, Work]:
    """FLOPs and bytes per cell, counted on the first cells of the case."""
    part = Case(case.genes, case.mode, case.share, min(case.cells, 140))
    published, default = (part.config(c, **settings.sizes) for c in ("published", "none"))
    plain, _ = networks(published, part.genes, settings.device)
    _, ours = networks(default, part.genes, settings.device)
    tokens, gene_ids = read_cells(part.sample, published)
    batches = [batch for _, batch in our_batches(part, default, settings.device)]

    def run_all() -> None:
        with torch.no_grad():
            for batch in batches:
                ours(*batch, gene_scores=True)

    counted = {
        PLAIN: count(lambda: run_network(plain, tokens, gene_ids, settings.device)),
        OURS: count(run_all),
    }
    return {side: Work(w.flops // part.cells, w.bytes // part.cells) for side, w in counted.items()}


def _read(case: Case) -> float:
    return case.genes if case.mode == "full" else float(case.sample.lengths.mean())


def report_binning(settings: Settings) -> None:
    """Quantile bins of counts and of log values."""
    from tagscope.models.cellmemory.tokenise import quantile_bins
    from timed_model import cells_of

    cells = 500 if settings.quick else 20_000
    sample = draw_cells(300, 1 / 3, cells)
    rows = []
    for name, counts in (("counts", True), ("log values", False)):
        matrix = cells_of(sample, counts=counts).values
        runs = in_turns({
            PLAIN: lambda matrix=matrix: timed(lambda: bin_cells(matrix.toarray(), 50)),
            OURS: lambda matrix=matrix, known=matrix.data if counts else None: timed(
                lambda: quantile_bins(matrix, 50, known)
            ),
        }, settings.turns)  # fmt: skip
        cell, gene = np.repeat(np.arange(cells), sample.lengths), sample.columns
        same = (runs[PLAIN][-1].answer[cell, gene] == runs[OURS][-1].answer).mean()
        rows.append((name, *(rate(runs[s], "all", cells) for s in (PLAIN, OURS)),
                     f"{speed_up(runs, OURS, PLAIN, 'all'):,.0f}×",
                     f"{100 * same:.4g} %"))  # fmt: skip
    table(f"Quantile bins, {cells:,} cells of 300 genes, cells/s",
          ("values", PLAIN, OURS, "quicker", "bins equal"), rows)  # fmt: skip


def report_memory(settings: Settings) -> None:
    """Peak memory of every side in a process of its own, beyond what it held before."""
    rows = []
    for case in settings.cases:
        sides = (PLAIN, PUBLISHED, OURS)
        peaks = [_peak_of_process(case, side, settings) for side in sides]
        rows.append((case, *peaks, f"{peaks[0] / peaks[-1]:.1f}×" if peaks[-1] else "–"))
    title = "Peak memory of annotating, MB" + (" (on the card)" if settings.device.type == "cuda"
                                               else "")  # fmt: skip
    table(title, ("case", *sides, "less"), rows)


def _peak_of_process(case: Case, side: str, settings: Settings) -> int:
    asked = {"case": [case.genes, case.mode, case.share, case.cells], "side": side,
             "sizes": settings.sizes, "device": str(settings.device),
             "threads": torch.get_num_threads()}  # fmt: skip
    command = [sys.executable, __file__, "--peak", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} of {case} failed: {done.stderr[-2000:]}")
    return round(float(done.stdout) / 1e6)


def peak(asked: dict[str, Any]) -> float:
    """Bytes at the peak of one pass beyond those held before it; on CUDA those of the card."""
    torch.set_num_threads(asked["threads"])
    case, device = Case(*asked["case"]), torch.device(asked["device"])
    config = case.config("none" if asked["side"] == OURS else "published", **asked["sizes"])
    plain, ours = networks(config, case.genes, device)
    ours_runs = annotate_ours if INSTALLED else run_ours
    run = (partial(run_plain, case, plain, config, device) if asked["side"] == PLAIN
           else partial(ours_runs, case, ours, device))  # fmt: skip
    warm = Case(case.genes, case.mode, case.share, 2)
    run_plain(warm, plain, config, device)
    if INSTALLED:
        annotate_ours(warm, ours, device)  # its imports too belong to what was held before
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        run()
        return float(torch.cuda.max_memory_allocated(device) - held)
    before = peak_so_far()
    run()
    return peak_so_far() - before


def settings_of(chosen: argparse.Namespace) -> Settings:
    """The request as numbers."""
    cells = dict(CELLS[chosen.device])
    sizes: dict[str, Any] = {}
    genes = chosen.genes or list(SHARES)
    if chosen.quick:
        genes, sizes, cells = [300], {"width": 32, "ffn": 64, "layers": 2}, {300: 24}
    cells = dict.fromkeys(cells, chosen.cells) if chosen.cells else cells
    cases = tuple(
        Case(count, mode, SHARES[count], cells[count])
        for count in genes for mode in ("expressed", "full")
    )  # fmt: skip
    rounds = 2 if chosen.quick else chosen.rounds
    turns = Turns(torch.device(chosen.device), rounds, chosen.seconds)
    return Settings(turns, cases, sizes, chosen.quick)


def run(parts: Iterable[str], settings: Settings) -> None:
    """Measure and print the parts asked for."""
    ceilings = None
    if "ceilings" in parts:
        ceilings = measure_ceilings(settings.device, settings.quick)
        rows = [(f"matrix product, {name}", f"{flops / 1e9:,.0f} GFLOP/s")
                for name, flops in ceilings.flops.items()]  # fmt: skip
        rows.append(("copy, read and written", f"{ceilings.copy / 1e9:,.1f} GB/s"))
        table("Ceilings measured", ("what", "at best"), rows)
    if "inference" in parts:
        report_inference(settings, ceilings)
    if "training" in parts:
        report_training(settings)
    if "binning" in parts and INSTALLED:
        report_binning(settings)
    if "memory" in parts:
        report_memory(settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny network, to see that it runs")
    parser.add_argument("--device", default="cpu", choices=sorted(CELLS))
    parser.add_argument("--part", action="append", choices=PARTS, help="these parts alone")
    parser.add_argument("--genes", action="append", type=int, choices=SHARES)
    parser.add_argument("--cells", type=int, help="cells a case, instead of what suits the device")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every side at most")
    parser.add_argument("--seconds", type=float, default=120, help="per case, about")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"),
                        help="cpu: processor time, for a busy machine and one thread")  # fmt: skip
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.peak:
        print(peak(json.loads(chosen.peak)))
        return
    keep_freed_memory()  # as annotate() does; the plain side also runs in a process without
    Time.use(chosen.clock)
    torch.set_num_threads(chosen.threads)
    torch.set_float32_matmul_precision("highest")
    settings = settings_of(chosen)
    print(f"{machine(settings.device)}, {chosen.clock} time\n{LABELS} labels; "
          f"{CellMemoryConfig(**settings.sizes)}")  # fmt: skip
    run(chosen.part or PARTS, settings)
    print(f"\n{machine(settings.device)}")


if __name__ == "__main__":
    main()
