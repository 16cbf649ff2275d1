"""STAGATE, which learns from the section that it embeds.

As published (Dong and Zhang, Nature Communications 2022) an update is of all cells. Of large
sections it is of some patches of tissue, read with what surrounds them, so that the gradient of
their cells is exact and memory does not grow with the section.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.cellpatch_stagate.network import CellPatchStagate
from tagscope.models.device import choose_device
from tagscope.models.stagate.graph import Graph, GraphKind, Ints, patches_of
from tagscope.models.stagate.network import (
    Decoder,
    Expression,
    Neighbourhood,
    Pattern,
    SparseRows,
    StagateNetwork,
    squares_of,
)
from tagscope.training.sitting import own_random_numbers

Compat = Literal["none", "published"]
Kept = Literal["last", "before the last", "lowest"]
Network = StagateNetwork | CellPatchStagate

_BATCH = 8_192  # cells of an update of larger sections
_PATCHES = 8  # of which they are, at least
_DENSE = {"cpu": 0.4, "cuda": 0.05}  # share of values from which products are dense


@dataclass(frozen=True)
class StagateConfig:
    """How STAGATE embeds a section."""

    graph: GraphKind = "nearest"
    """Cells that STAGATE connects: nearest, radius or delaunay (Voronoi regions that touch)."""
    nearest: int = 6
    """Of the graph nearest: so many neighbours."""
    radius: float | None = None
    """Of the graph radius, and the longest edge of delaunay; in the unit of the coordinates."""
    most_genes: int = 3000
    """Read over so many genes, those that vary most in the section."""
    hidden: int = 512
    """Width of STAGATE's hidden layer."""
    width: int = 30
    """Width of STAGATE's embedding."""
    epochs: int | None = None
    """Passes over all cells; as many as come to 1,000 updates if not given, of cellpatch-stagate
    to 300."""
    learning_rate: float = 1e-3
    """Adam's learning rate; of cellpatch-stagate 3e-4."""
    weight_decay: float = 1e-4
    """Adam's weight decay."""
    clip_norm: float = 5.0
    """Largest norm of a gradient."""
    batch_size: int | None = None
    """Cells of an update; all of sections up to 30,000 cells, 8,192 of larger ones, if not
    given."""
    compat: Compat = "none"
    """published updates weights twice a step, as the published code does; all cells at once."""
    seed: int = 0
    """Seed of everything random; the same seed gives the same embedding."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    whole: ClassVar[int] = 30_000  # cells at most that one update is of, unless asked otherwise
    updates: ClassVar[int] = 1_000  # as published, unless asked otherwise

    def __post_init__(self) -> None:
        for name in ("nearest", "most_genes", "hidden", "width", "epochs", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                _refuse(name, value, "A number from 1 on")
        for name in ("radius", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                _refuse(name, value, "A number above 0")
        if not self.weight_decay >= 0:
            _refuse("weight_decay", self.weight_decay, "0 or more")
        for name, known in (("graph", ("nearest", "radius", "delaunay")),
                            ("compat", ("none", "published"))):  # fmt: skip
            if getattr(self, name) not in known:
                _refuse(name, getattr(self, name), " or ".join(known).capitalize())
        if self.compat == "published" and self.batch_size is not None:
            raise ArgumentError(
                f"An update of {self.batch_size} cells was asked for, as published.",
                "The published code updates on all cells at once.",
                "Leave out either.",
                {"batch_size": None, "compat": "none"},
            )

    def cells_per_update(self, cells: int) -> int:
        """Cells that an update is of, of a section's ``cells``."""
        if self.compat == "published":
            return cells
        return min(cells, self.batch_size or (cells if cells <= self.whole else _BATCH))

    @property
    def kept(self) -> Kept:
        """The weights that cells are embedded with: those of the last update, before it, or of the
        update of the lowest loss."""
        return "before the last" if self.compat == "published" else "last"


@dataclass(frozen=True)
class Learned:
    """``embedding`` (N, D) float32 of the weights that are kept; the mean squared error of every
    epoch, and of how many updates and cells an update they are."""

    network: Network
    embedding: npt.NDArray[np.float32]
    losses: tuple[float, ...]
    updates: int
    batch_size: int


@dataclass(frozen=True)
class Batch:
    """What an update reads: expression of N cells, and the edges among them; of the O own ones the
    sum of squares."""

    x: Expression
    near: Neighbourhood
    squares: float

    @property
    def numbers(self) -> int:
        """Values that the loss is the mean over."""
        x = self.x
        genes = x.shape[1] if isinstance(x, Tensor) else x.pattern.width
        return len(self.near.decoding) * genes


@dataclass(frozen=True)
class Cells:
    """Expression ``values`` (N, G) of a section, its ``graph`` and ``patches`` of tissue."""

    values: sp.csr_matrix
    graph: Graph
    patches: list[Ints]
    device: torch.device

    @cached_property
    def dense(self) -> bool:
        """Whether products with expression are quicker with its zeros."""
        share = self.values.nnz / max(1, self.values.shape[0] * self.values.shape[1])
        return bool(share >= _DENSE[self.device.type])

    @cached_property
    def whole(self) -> Batch:
        """All cells at once."""
        return self._batch(None, self.graph.whole())

    def batch(self, own: Ints) -> Batch:
        """Some cells, with what surrounds them."""
        read, near = self.graph.around(own)
        return self._batch(read, near)

    def expression(self, rows: Ints | None) -> Expression:
        """Expression of some cells, of all if None, on the device."""
        values = self.values if rows is None else self.values[rows]
        if self.dense:
            return torch.from_numpy(values.toarray()).to(self.device)
        columns, offsets = (torch.from_numpy(part) for part in (values.indices, values.indptr))
        found = SparseRows(
            Pattern(columns, offsets, values.shape[1]), torch.from_numpy(values.data)
        )
        return found.to(self.device)

    def groups(self, size: int) -> list[list[Ints]]:
        """Patches one after the other, by groups of about ``size`` cells."""
        count = max(1, round(size / max(1, max(map(len, self.patches), default=1))))
        return [self.patches[at : at + count] for at in range(0, len(self.patches), count)]

    def _batch(self, rows: Ints | None, near: Neighbourhood) -> Batch:
        x = self.expression(rows)
        return Batch(x, near.to(self.device), float(squares_of(x, len(near.decoding))))


@dataclass
class Updates:
    """Adam on the weights, which decode as well: the gradients of both uses are added up."""

    network: Network
    config: StagateConfig
    decoder: Decoder | None = None
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        network, fused = self.network, True
        weights: list[Tensor] = list(network.parameters())
        if self.config.compat == "published":
            # Other leaves of the same memory, each with its own gradient and moments. One is
            # updated after the other, in the published order: as one kernel they would race.
            self.decoder = Decoder(*(w.detach().requires_grad_() for w in network.decoder))
            weights += [self.decoder.second, self.decoder.first]
            fused = False
        self.weights = weights
        self.optimizer = torch.optim.Adam(
            weights, self.config.learning_rate, weight_decay=self.config.weight_decay,
            foreach=False if not fused else None, fused=fused or None,
        )  # fmt: skip

    def step(self, batch: Batch) -> tuple[float, float, Tensor]:
        """One update: the mean squared error, the gradient's norm before it is clipped, and the
        embedding (M, D) before the update."""
        self.optimizer.zero_grad(set_to_none=True)
        coded = self.network(batch.x, batch.near, self.decoder)
        total = self.network.squared_error(batch.x, coded, batch.squares, self.decoder)
        loss = total / batch.numbers
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.config.clip_norm)
        self.optimizer.step()
        return loss.item(), norm.item(), coded.embedding.detach()


def device_for(config: StagateConfig) -> torch.device:
    """Where STAGATE learns: the device asked for, but the processor in place of Apple's graphics,
    which know no float64, in which the loss is summed.

    Raises
    ------
    ArgumentError
        If there is no such device.
    """
    device = choose_device(config.device)
    return torch.device("cpu") if device.type == "mps" else device


def learn(
    values: sp.csr_matrix,
    xy: npt.NDArray[np.float64],
    graph: Graph,
    config: StagateConfig | None = None,
    context: JobContext | None = None,
    network: Network | None = None,
) -> Learned:
    """Learn to embed cells of log-normalised ``values`` (N, G) at ``xy`` (N, 2), and embed them.

    A ``network`` that is given goes on from the weights it has. ``context`` hears of every update
    in the stage ``learning``, its loss as partial result, and of ``embedding`` after each batch; a
    cancel is answered within an update. Nothing is written.
    """
    config, context = config or StagateConfig(), context or JobContext()
    keep_freed_memory()
    device, count = device_for(config), len(graph)
    size = config.cells_per_update(count)
    patch = count if size >= count else max(1, size // _PATCHES)
    values = values.astype(np.float32, copy=False)
    cells = Cells(values, graph, patches_of(xy, patch), device)
    per_epoch = 1 if size >= count else len(cells.groups(size))
    epochs = config.epochs or -(-config.updates // per_epoch)
    with own_random_numbers(config.seed):
        if network is None:
            network = StagateNetwork(values.shape[1], config.hidden, config.width)
        updates = Updates(network.to(device).train(), config)
        course = _Course(updates, config.kept)
        for epoch in range(epochs):
            for batch in _batches(cells, size, epoch, config.seed):
                context.step("learning", course.done, epochs * per_epoch, course.last)
                course.update(batch)
            course.end_epoch()
    context.step("learning", course.done, epochs * per_epoch, course.last)
    embedding = course.latent
    if embedding is None:
        course.keep()
        embedding = embedded(network.eval(), cells, size, context)
    return Learned(network, embedding, tuple(course.losses), course.done, size)


@dataclass
class _Course:
    """How learning goes: ``losses`` of the epochs, and what is kept of the weights on the way."""

    updates: Updates
    kept: Kept
    losses: list[float] = field(default_factory=list)
    done: int = 0
    _errors: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    _lowest: float = np.inf
    _weights: dict[str, Tensor] | None = None
    _latent: Tensor | None = None

    @property
    def last(self) -> float | None:
        """Loss of the last epoch, if there was one."""
        return self.losses[-1] if self.losses else None

    @property
    def latent(self) -> npt.NDArray[np.float32] | None:
        """The embedding by the weights before the last update, if that is what is kept."""
        return None if self._latent is None else self._latent.cpu().numpy()

    def update(self, batch: Batch) -> None:
        """One update."""
        loss, _, latent = self.updates.step(batch)
        self._errors += loss * batch.numbers, batch.numbers
        self.done += 1
        if self.kept == "before the last":
            self._latent = latent
        if self.kept == "lowest" and loss < self._lowest:
            self._lowest = loss
            state = self.updates.network.state_dict()
            self._weights = {name: value.clone() for name, value in state.items()}

    def end_epoch(self) -> None:
        """Note the loss of the epoch."""
        self.losses.append(float(self._errors[0] / self._errors[1]))
        self._errors[:] = 0

    def keep(self) -> None:
        """Give the network the weights that are kept."""
        if self._weights is not None:
            self.updates.network.load_state_dict(self._weights)


def embedded(
    network: Network, cells: Cells, size: int, context: JobContext
) -> npt.NDArray[np.float32]:
    """Embeddings of all cells, (N, D), by batches of about ``size`` cells that lie close."""
    count, done = len(cells.graph), 0
    found = np.empty((count, network.decoder.second.shape[1]), np.float32)
    context.step("embedding", done, count)
    with torch.inference_mode():
        if size >= count:
            found[:] = network.embed(cells.whole.x, cells.whole.near.coding).cpu().numpy()
            context.step("embedding", count, count)
            return found
        for group in cells.groups(size):
            rows = np.concatenate(group)
            edges, read = cells.graph.into(rows)
            values = network.embed(cells.expression(read), edges.to(cells.device))
            found[rows] = values.cpu().numpy()
            done += len(rows)
            context.step("embedding", done, count)
    return found


def _batches(cells: Cells, size: int, epoch: int, seed: int) -> Iterator[Batch]:
    """The updates of an epoch: all cells at once, or patches from anywhere, each once."""
    if size >= len(cells.graph):
        yield cells.whole
        return
    order = np.random.default_rng([seed, epoch]).permutation(len(cells.patches))
    count = len(cells.groups(size)[0])
    for begin in range(0, len(order), count):
        yield cells.batch(
            np.concatenate([cells.patches[at] for at in order[begin : begin + count]])
        )


def _refuse(name: str, value: object, needed: str) -> None:
    raise ArgumentError(
        f"{name.replace('_', ' ').capitalize()} is {value!r}.",
        f"{needed} is needed.",
        "Give another.",
        {name: None},
    )
