"""Simulated cells, and the two networks that read them: the plain one and ours, of like weights.

Needs torch and numpy alone, but for :func:`annotate_ours`, which takes the public path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from measuring import Clock, Run, Turns
from plain_cellmemory import PlainAnswer, PlainCellMemory, lay_out, read_cells, run_network
from tagscope.models.cellmemory.config import CellMemoryConfig, Compat, Mode
from tagscope.models.cellmemory.convert import to_published
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.device import reduced

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LABELS = 20
SHARES = {300: 0.30, 1000: 0.20, 3000: 0.12}  # of the genes that a cell expresses
# The plain side runs by itself, and in our process, where freed memory is kept, once more.
PLAIN, KEPT, PUBLISHED, OURS = "plain", "plain, memory kept", "TAGscope, published", "TAGscope"
_SECTION = 20_000  # the published code pads to the longest cell of a whole section
_SPREAD = 0.4  # sd over mean of the genes a cell expresses; .28 to .47 in real sections
_LONGEST = 2.5  # and the most over the mean; 2.0 to 2.8
_TOKENS = {"cpu": 1 << 12, "cuda": 1 << 18}  # of one batch, about as annotate() takes them


@dataclass(frozen=True)
class Case:
    """``cells`` cells of ``genes`` genes, of which a cell expresses the given ``share``."""

    genes: int
    mode: Mode
    share: float
    cells: int

    def __str__(self) -> str:
        return f"{self.genes:,} genes, {self.mode}"

    def config(self, compat: Compat = "none", **sizes: Any) -> CellMemoryConfig:
        """The published sizes, or others; padded to the section's longest cell."""
        return CellMemoryConfig(mode=self.mode, compat=compat, pad_to=self.sample.longest, **sizes)

    @cached_property
    def sample(self) -> Sample:
        """The cells, always the same ones."""
        return draw_cells(self.genes, self.share, self.cells)


@dataclass(frozen=True)
class Settings:
    """What to measure, and for how long."""

    turns: Turns
    cases: tuple[Case, ...]
    sizes: dict[str, Any]
    quick: bool

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return self.turns.device


@dataclass(frozen=True)
class Sample:
    """Counts and log values of N cells over G genes.

    Cell i owns ``counts``, ``values`` and ``columns`` from ``offsets[i]`` to ``offsets[i + 1]``.
    ``longest`` is the most genes that any cell of the section around them expresses.
    """

    counts: Floats
    values: Floats
    columns: npt.NDArray[np.int32]
    offsets: Ints
    genes: int
    longest: int

    @property
    def shape(self) -> tuple[int, int]:
        """N and G."""
        return len(self.offsets) - 1, self.genes

    @property
    def lengths(self) -> Ints:
        """Genes expressed, (N,)."""
        return np.diff(self.offsets)

    def toarray(self) -> Floats:
        """Log values, (N, G)."""
        dense = np.zeros(self.shape, np.float32)
        dense[np.repeat(np.arange(len(dense)), self.lengths), self.columns] = self.values
        return dense


def draw_cells(genes: int, share: float, cells: int, seed: int = 0) -> Sample:
    """Cells that express ``share`` of the genes on average, some genes far oftener than others."""
    rng = np.random.default_rng(seed)
    shape, mean = _SPREAD**-2, share * genes
    drawn = rng.gamma(shape, mean / shape, max(_SECTION, cells))
    section = np.clip(drawn, 5, min(genes, _LONGEST * mean)).astype(np.int64)
    lengths = section[:cells]
    popular = rng.normal(0, 1, genes)
    rows, columns = [], []
    for start in range(0, cells, 2_000):  # a random subset is the largest of random keys
        part = lengths[start : start + 2_000]
        order = np.argsort(-(popular + rng.gumbel(size=(len(part), genes))), axis=1)
        chosen = np.zeros(order.shape, np.bool_)
        np.put_along_axis(chosen, order, np.arange(genes) < part[:, None], axis=1)
        row, column = np.nonzero(chosen)
        rows.append(row + start)
        columns.append(column)
    row = np.concatenate(rows)
    counts = 1 + rng.poisson(rng.gamma(0.5, 2.0, len(row))).astype(np.float32)
    totals = np.bincount(row, counts, minlength=cells)
    values = np.log1p(1e4 * counts / totals[row]).astype(np.float32)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    flat = np.concatenate(columns).astype(np.int32)
    return Sample(counts, values, flat, offsets, genes, int(section.max()))


def networks(
    config: CellMemoryConfig, genes: int, device: torch.device
) -> tuple[PlainCellMemory, CellMemoryNetwork]:
    """The plain network and ours with the same random weights."""
    torch.manual_seed(7)
    ours = CellMemoryNetwork(config, genes, LABELS)
    plain = PlainCellMemory(config, genes, LABELS)
    plain.load_state_dict(to_published(ours.state_dict(), config))
    return plain.to(device).eval(), ours.to(device).eval()


def run_plain(
    case: Case, network: PlainCellMemory, config: CellMemoryConfig, device: torch.device,
    precision: torch.dtype = torch.float32,
) -> Run:  # fmt: skip
    """Read, run and lay out all cells in the published way."""
    clock = Clock(device)

    def work() -> PlainAnswer:
        tokens, gene_ids = clock("reading", lambda: read_cells(case.sample, config))
        with reduced(precision, device):
            answers = clock("network", lambda: run_network(network, tokens, gene_ids, device))
        return lay_out(answers, gene_ids, case.genes)

    return Run(clock("all", work), clock.seconds)


def run_ours(
    case: Case, network: CellMemoryNetwork, device: torch.device,
    precision: torch.dtype = torch.float32,
) -> Run:  # fmt: skip
    """Our network alone, cells of like length together; reading them is not timed."""
    clock = Clock(device)
    answers, order = [], []
    for rows, batch in our_batches(case, network.config, device):
        with torch.inference_mode(), reduced(precision, device):
            answers.append(clock("network", lambda batch=batch: _ask(network, batch)))
        order.append(rows)
    found = _by_cell(answers, order, case)
    return Run(found, clock.seconds)


def our_batches(
    case: Case, config: CellMemoryConfig, device: torch.device
) -> Iterator[tuple[Ints, list[torch.Tensor]]]:
    """Rows, and tokens, genes and padding of one batch after the other, the longest cells first."""
    tokens, gene_ids = read_cells(case.sample, config)
    padding = gene_ids > case.genes
    lengths = (~padding).sum(axis=1)
    rows = np.argsort(-lengths, kind="stable")
    while len(rows):
        width = tokens.shape[1] if config.compat == "published" else int(lengths[rows[0]])
        now, rows = np.split(rows, [max(1, _TOKENS[device.type] // (width + 1))])
        genes = np.where(padding, -1, gene_ids - 1)
        arrays = (array[now, :width] for array in (tokens, genes, padding))
        yield now, [torch.from_numpy(array).to(device) for array in arrays]


def annotate_ours(
    case: Case, network: CellMemoryNetwork, device: torch.device,
    precision: torch.dtype = torch.float32,
) -> Run:  # fmt: skip
    """The public path: annotate() with the attention of every gene."""
    from tagscope.inference.annotate import AnnotateConfig, annotate
    from timed_model import Timed, cells_of

    clock = Clock(device)
    model = Timed.of(network, case.genes, clock)
    short = {torch.float32: "fp32", torch.bfloat16: "bf16"}[precision]
    config = AnnotateConfig(attention=True, device=str(device), precision=short)
    result = clock("all", lambda: annotate(cells_of(case.sample), model, config))
    said = result.annotation
    answer = PlainAnswer(said.probabilities, said.embedding, result.gene_scores.scores.toarray())
    return Run(answer, clock.seconds)


def _ask(network: CellMemoryNetwork, batch: list[torch.Tensor]) -> list[torch.Tensor]:
    said = network(*batch, gene_scores=True)
    padding = batch[2]
    on_genes = torch.zeros(len(padding), network.genes.num_embeddings, device=padding.device)
    on_genes.scatter_(1, batch[1] + 1, said.gene_scores[:, 1:].float())
    probabilities = torch.softmax(said.logits.float(), dim=1)
    return [part.cpu() for part in (probabilities, said.embedding.float(), on_genes[:, 1:])]


def _by_cell(answers: list[list[torch.Tensor]], order: list[Ints], case: Case) -> PlainAnswer:
    """The answers of all batches in the order of the cells."""
    back = np.argsort(np.concatenate(order))
    return PlainAnswer(*(torch.cat(part).numpy()[back] for part in zip(*answers, strict=True)))
