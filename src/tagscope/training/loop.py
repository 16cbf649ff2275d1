"""One pass over the cells, forwards with updates or as validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch, Tokens
from tagscope.models.hierarchy import hierarchical_loss
from tagscope.training.recipe import Recipe

Ints = npt.NDArray[np.int64]

_WINDOW = 16  # batches whose cells are sorted by length together
# Numbers in the widest activations of one chunk. On a CPU a chunk then takes well under a second,
# which is how soon a cancel is noticed, and its buffers are small enough to be used again.
_CHUNK = {"cpu": 1 << 21, "mps": 1 << 24, "cuda": 1 << 28}


@dataclass(frozen=True)
class Examples:
    """Encoded cells and their label codes (N,)."""

    tokens: Tokens
    codes: Ints

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Loop(ABC):
    """A network being trained on ``device`` in ``precision`` by ``recipe``."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    seed: int
    device: torch.device
    precision: torch.dtype
    weights: Tensor
    """Weight of every label in the loss, (C,), 1 for the mean cell."""
    ancestors: tuple[Tensor, ...] = ()
    """For every coarser level of labels the code of each label there, (C,) int64."""

    @property
    @abstractmethod
    def width(self) -> int:
        """d, the width of the embedding."""

    @property
    @abstractmethod
    def widest(self) -> int:
        """Numbers in the widest activations of a token."""

    @abstractmethod
    def ask(self, batch: CellBatch) -> tuple[Tensor, Tensor]:
        """Logits (B, C) and embedding (B, d) of cells on the device."""

    def hide(
        self,
        batch: CellBatch,
        share: float,  # noqa: ARG002 - for those who hide something
        rng: np.random.Generator,  # noqa: ARG002
    ) -> CellBatch:
        """Cells without a random ``share`` of their genes, if the network is trained so."""
        return batch

    def train_epoch(self, examples: Examples, epoch: int, context: JobContext) -> float:
        """Update on every cell once; the mean loss. Epochs count from 0."""
        rng = np.random.default_rng([self.seed, epoch])
        torch.manual_seed(int(rng.integers(2**62)))
        self.network.train()
        batches = self.batches(examples.tokens.lengths, examples.codes, rng)
        total, done = 0.0, 0
        for index, rows in enumerate(batches):
            self._set_rate(epoch * len(batches) + index, len(batches))
            self.optimizer.zero_grad(set_to_none=True)
            hidden = rng.random() * self.recipe.gene_dropout
            for chunk in self._chunks(examples.tokens, rows):
                loss = self._loss(examples, chunk, hidden, rng)
                (loss / len(rows)).backward()  # type: ignore[no-untyped-call]
                total += loss.item()
                done += len(chunk)
                context.step(f"epoch {epoch + 1}", done, len(examples))
            if np.isfinite(self.recipe.clip_norm):
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
            self.optimizer.step()
        return total / len(examples)

    @torch.inference_mode()
    def predict(
        self, examples: Examples, context: JobContext, stage: str = "validating"
    ) -> tuple[Tensor, Tensor]:
        """Logits (N, C) and embedding (N, d) of every cell, float32 on the CPU."""
        self.network.eval()
        logits = torch.empty(len(examples), len(self.weights))
        embedding = torch.empty(len(examples), self.width)
        done = 0
        for chunk in self._chunks(examples.tokens, np.arange(len(examples))):
            said = self.ask(examples.tokens.batch(chunk).to(self.device))
            logits[chunk], embedding[chunk] = (part.cpu() for part in said)
            done += len(chunk)
            context.step(stage, done, len(examples))
        return logits, embedding

    def validation_loss(self, logits: Tensor, codes: Ints, epoch: int) -> float:
        """Mean cross-entropy; published: the unweighted mean of shuffled batches' means."""
        losses = F.cross_entropy(logits, torch.from_numpy(codes), reduction="none").numpy()
        if not self.recipe.published:
            return float(losses.mean())
        order = np.random.default_rng([self.seed, epoch, 1]).permutation(len(losses))
        size = self.recipe.batch_size
        means = [losses[order[at : at + size]].mean() for at in range(0, len(order), size)]
        return float(np.mean(means))

    def _order(self, cells: int, codes: Ints, rng: np.random.Generator) -> Ints:
        """Every cell once, or as many drawn by their label's weight."""
        if self.recipe.balance != "sampling":
            return rng.permutation(cells)
        chances = self.weights.cpu().numpy()[codes].astype(np.float64)
        return rng.choice(cells, cells, p=chances / chances.sum())

    def batches(self, lengths: Ints, codes: Ints, rng: np.random.Generator) -> list[Ints]:
        """Random batches of cells of like length; a last one of a single cell joins another.

        Cells are sorted by length within random windows of a few batches, so that little of a
        batch is padding. The published code's batches are plainly random.
        """
        order, size = self._order(len(lengths), codes, rng), self.recipe.batch_size
        if self.recipe.published:
            return np.split(order, range(size, len(order), size))
        window = np.arange(len(order)) // (_WINDOW * size)
        order = order[np.lexsort((lengths[order], window))]
        cuts = list(range(size, len(order), size))
        if cuts and len(order) - cuts[-1] == 1:
            cuts.pop()
        batches = np.split(order, cuts)
        return [batches[index] for index in rng.permutation(len(batches))]

    def _chunks(self, tokens: Tokens, rows: Ints) -> Iterator[Ints]:
        """The rows by length, in pieces that fit the chunk size."""
        rows = rows[np.argsort(-tokens.lengths[rows], kind="stable")]
        while len(rows):
            longest = int(tokens.lengths[rows[0]]) + 1
            count = max(1, _CHUNK[self.device.type] // (longest * self.widest))
            yield rows[:count]
            rows = rows[count:]

    def _loss(
        self, examples: Examples, rows: Ints, hidden: float, rng: np.random.Generator
    ) -> Tensor:
        """Weighted cross-entropy, summed over the rows, the mean of all levels of labels."""
        batch = self.hide(examples.tokens.batch(rows), hidden, rng)
        logits, _ = self.ask(batch.to(self.device))
        truth = torch.from_numpy(examples.codes[rows]).to(self.device)
        weights = self.weights if self.recipe.balance == "weights" else None
        smoothing = self.recipe.label_smoothing
        levels = (*self.ancestors, torch.arange(logits.shape[1], device=self.device))
        if len(levels) == 1:
            return F.cross_entropy(
                logits, truth, weight=weights, reduction="sum", label_smoothing=smoothing
            )
        return hierarchical_loss(
            logits, [level[truth] for level in levels], levels,
            weights=[*(None for _ in self.ancestors), weights],
            level_weights=[1 / len(levels)] * len(levels), label_smoothing=smoothing,
        )  # fmt: skip

    def _set_rate(self, update: int, updates_per_epoch: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(update, updates_per_epoch)


def label_weights(codes: Ints, labels: int, power: float) -> Tensor:
    """n ** −power of every label's cell count n, scaled so that the mean cell weighs 1, (C,)."""
    counts = np.maximum(np.bincount(codes, minlength=labels), 1)
    weights = counts ** -float(power)
    return torch.from_numpy((weights / weights[codes].mean()).astype(np.float32))
