"""Embed the genes of a section: in every cell, and in the whole data set."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.section import Section
from tagscope.errors import ArgumentError, InputError
from tagscope.inference.variable import most_variable
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.batches import Batches
from tagscope.models.device import Precision, choose_device, device_name, quickest_precision
from tagscope.models.omnicell.model import OmniCell, Reading
from tagscope.models.omnicell.propagation import GenePropagation, neighbour_weights, propagator
from tagscope.models.omnicell.tokenise import OmniCellTokens

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GeneConfig:
    """How genes are embedded."""

    n_genes: int | None = None
    """Read over so many genes, those that vary most in the section; all that the model knows if
    not given."""
    threshold: float = 0.9
    """Share of the head's eigenvalues that the projection of embeddings keeps."""
    neighbors: int = 15
    """Like cells of every cell that its genes' embeddings are propagated to."""
    epochs: int = 10
    """How often all genes are learned from."""
    genes_per_step: int = 20
    """Genes of a step of learning."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    seed: int = 0
    """Seed of the propagation's weights and of the order of genes."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: Precision = "auto"
    """Number format of the model; auto is bf16 where the device computes in it, else fp32."""

    def __post_init__(self) -> None:
        for name in ("neighbors", "epochs", "genes_per_step"):
            if getattr(self, name) < 1:
                raise ArgumentError(
                    f"{name.replace('_', ' ')} is {getattr(self, name)}.",
                    "At least 1 is needed.",
                    "Give another number.",
                    {name: None},
                )
        if not 0 < self.threshold <= 1:
            raise ArgumentError(
                f"The threshold is {self.threshold}.",
                "A share above 0, at most 1, is needed.",
                "Give another.",
                {"threshold": None},
            )


@dataclass(frozen=True)
class CellGeneStates:
    """What the model made of every gene in every cell, while it is needed.

    ``states`` (N, n, m) float32 on disk, projected and not of length 1; ``cells`` (N, d) float32
    the cells' embeddings; ``panel`` the n genes, ``columns`` (n,) those of the section.
    """

    states: npt.NDArray[np.float32]
    cells: Floats
    panel: GenePanel
    columns: npt.NDArray[np.int64]


@contextmanager
def cell_gene_states(
    section: Section, model: OmniCell, config: GeneConfig, *, gene_list: tuple[str, ...] | None,
    context: JobContext,
) -> Iterator[CellGeneStates]:  # fmt: skip
    """Read every cell alone and keep its genes' states, in a file, for as long as they are needed.

    ``context`` hears ``step("reading genes in cells", cells done, N)`` after every batch.
    """
    keep_freed_memory()
    device = choose_device(config.device)
    model = model.to(device, quickest_precision(config.precision, device))
    if gene_list is None and config.n_genes is not None:
        gene_list = most_variable(section.cells, model.vocabulary, config.n_genes)
    reading = model.reading(section.panel, gene_list)
    tokens, basis = model.read(section, reading), model.basis(config.threshold)
    shape = (len(tokens), tokens.genes, basis.shape[1])
    cells = np.zeros((len(tokens), model.config.width), np.float32)
    with tempfile.TemporaryDirectory(prefix="tagscope-genes-") as folder:
        states = np.memmap(Path(folder) / "states", np.float32, "w+", shape=shape)
        batches, done = Batches(tokens.lengths, None, None, device, model.bytes_per_token), 0
        for rows in batches:
            context.step("reading genes in cells", done, len(tokens))
            began = time.monotonic()
            states[rows], cells[rows] = _states(model, tokens, reading, rows, basis)
            batches.accept(rows, 0, time.monotonic() - began)
            done += len(rows)
        context.step("reading genes in cells", done, len(tokens))
        yield CellGeneStates(states, cells, section.panel.take(reading.columns), reading.columns)


@torch.inference_mode()
def _states(
    model: OmniCell, tokens: OmniCellTokens, reading: Reading, rows: npt.NDArray[np.int64],
    basis: torch.Tensor,
) -> tuple[Floats, Floats]:  # fmt: skip
    device = model.network.head.device
    read = tokens.sequences(rows).to(device)
    hidden = model.network.eval()(model.table(reading), read)[:, 0].float()
    counted = model.counted(read)[:, 0].unsqueeze(-1)
    mean = (hidden * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
    projected = hidden[:, 1:-1] @ basis.to(device)
    return projected.cpu().numpy(), F.normalize(mean, dim=-1, eps=1e-7).cpu().numpy()


def genes_of_data_set(
    found: CellGeneStates, expression: npt.NDArray[np.float32], config: GeneConfig,
    context: JobContext,
) -> Floats:  # fmt: skip
    """Embeddings of the n genes in the whole data set, (n, m).

    ``expression`` (N, n) is what they have to predict. ``context`` hears ``step("learning genes",
    genes done, genes of all epochs)``.

    Raises
    ------
    InputError
        If there are no more cells than neighbours.
    """
    cells, genes, width = found.states.shape
    if cells <= config.neighbors:
        raise InputError(
            f"There are {cells} cells.",
            f"More than the {config.neighbors} neighbours of a cell are needed.",
            "Take fewer neighbours, or more cells.",
            {"neighbors": None},
        )
    near = NearestNeighbors(n_neighbors=config.neighbors).fit(found.cells)
    distances, neighbours = near.kneighbors()
    graph = propagator(neighbours, neighbour_weights(distances, neighbours))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = GenePropagation(cells, width).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
        rng = np.random.default_rng(config.seed)
        for epoch in range(config.epochs):
            order = rng.permutation(genes)
            for start in range(0, genes, config.genes_per_step):
                some = order[start : start + config.genes_per_step]
                context.step("learning genes", epoch * genes + start, config.epochs * genes)
                states = torch.from_numpy(found.states[:, some]).transpose(0, 1)
                wanted = torch.from_numpy(expression[:, some].T.copy())
                optimizer.zero_grad()
                F.mse_loss(network(states, graph)[1], wanted).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        network.eval()
        with torch.inference_mode():
            parts = [
                network(torch.from_numpy(found.states[:, [gene]]).transpose(0, 1), graph)[0]
                for gene in range(genes)
            ]
    return np.asarray(torch.cat(parts).numpy())


def provenance_of(
    config: GeneConfig, inputs: dict[str, str], seconds: float, extra: Mapping[str, object]
) -> Provenance:
    """The record of a run."""
    device = choose_device(config.device)
    return Provenance(
        verb="gene_embeddings", parameters=asdict(config), inputs=inputs, seed=config.seed,
        device=device_name(device), seconds=round(seconds, 3), extra=dict(extra),
    )  # fmt: skip
