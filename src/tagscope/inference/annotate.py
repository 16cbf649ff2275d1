"""Annotate cells with a trained model: labels, confidence, embedding, attention."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tagscope.core.provenance import Provenance
from tagscope.core.results import (
    Annotation,
    AnnotationResult,
    GeneScores,
    SlotScores,
)
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError, BundleError, InputError
from tagscope.inference.ask import Answer, Network, answers
from tagscope.inference.gather import ScoreGatherer
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.base import Capability, CellModel, Tokens
from tagscope.models.batches import Batches
from tagscope.models.device import Precision, choose_device, choose_precision, device_name


@dataclass(frozen=True)
class AnnotateConfig:
    """How to annotate a section."""

    key: str | None = None
    """Name of the result in the table: label column, and prefix of all other slots; the kind of the
    model if not given."""
    attention: bool = False
    """Keep the attention score of every gene in every cell (level 1)."""
    slots: bool = False
    """Keep the memory score of every gene in every slot of every cell (level 2)."""
    min_confidence: float = 0.0
    """Cells whose likeliest label is less probable than this become Unassigned."""
    max_novelty: float = 1.0
    """Cells more unlike the reference than this become Unassigned; 0.95 sets aside what is more
    unusual than 95 % of the reference's held-out cells."""
    batch_size: int | None = None
    """Cells per batch; as many as suit the device if not given."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: Precision = "auto"
    """Number format of matrix products; auto is fp32."""
    seed: int = 0
    """Seed of whatever a model draws at random while reading cells."""

    def __post_init__(self) -> None:
        if self.key is not None and (not self.key or "/" in self.key):
            raise ArgumentError(
                f"The key {self.key!r} cannot name a slot of a table.",
                "A key is a word without a slash.",
                "Choose another.",
                {"key": None},
            )
        for name in ("min_confidence", "max_novelty"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(
                    f"The bound {name} is {getattr(self, name)}.",
                    "Confidence and novelty lie between 0 and 1.",
                    "Give a value from 0 to 1.",
                    {name: None},
                )
        if self.batch_size is not None and self.batch_size < 1:
            raise ArgumentError(
                f"The batch size is {self.batch_size}.",
                "A batch holds at least one cell.",
                "Give a number from 1 on, or leave it to TAGscope.",
                {"batch_size": "auto"},
            )


@dataclass(frozen=True)
class PartialAnnotation:
    """What the last batch found.

    ``rows`` (n,) int64 rows of the section; ``codes`` (n,) int64 label codes, −1 for Unassigned;
    ``confidence`` (n,) float32.
    """

    rows: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]


def annotate(
    cells: Cells,
    model: CellModel,
    config: AnnotateConfig | None = None,
    *,
    first: npt.NDArray[np.int64] | None = None,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> AnnotationResult:
    """Annotate every cell.

    Parameters
    ----------
    cells
        N cells; genes are aligned to the model's by name.
    first
        Rows to do before the others, such as the cells in view.
    inputs
        What the provenance record says the inputs were: name to hash.
    context
        ``step("annotating", cells done, N, PartialAnnotation)`` follows every batch; a cancel is
        answered within one batch.

    Raises
    ------
    InputError
        If cells and model share no gene.
    ArgumentError
        If the model cannot do what is asked, or the device has no memory for a single cell.
    BundleError
        If the network's answer is not a finite number.
    """
    started = time.monotonic()
    config = config or AnnotateConfig()
    context = context or JobContext()
    _require_capabilities(model, config)
    shared = shared_genes(cells, model)
    device = choose_device(config.device)
    with _network(model, config, device) as network:
        tokens = model.tokenise(cells, seed=config.seed, context=context)
        found = _Findings(tokens, model, config)
        batches = Batches(tokens.lengths, first, config.batch_size, device, model.bytes_per_token)
        _run(network, tokens, found, batches, context)
    gene_scores, slot_scores = found.scores(cells, context)
    annotation = found.annotation(cells)
    extra = {
        "model": model.kind,
        "labels": list(model.labels.names),
        "tree": None if model.tree is None else model.tree.to_dict(),
        "cells": len(cells),
        "genes_shared": shared,
        "genes_of_model": len(model.vocabulary),
        "slots": len(slot_scores.scores) if slot_scores else 0,
    }
    key = config.key or model.kind
    parameters = {**asdict(config), "key": key}
    seconds = time.monotonic() - started
    provenance = _provenance(parameters, dict(inputs or {}), device, seconds, extra)
    return AnnotationResult(key, annotation, gene_scores, slot_scores, provenance)


def _provenance(
    parameters: dict[str, Any],
    inputs: dict[str, str],
    device: torch.device,
    seconds: float,
    extra: dict[str, Any],
) -> Provenance:
    return Provenance(
        verb="annotate",
        parameters=parameters,
        inputs=inputs,
        seed=parameters["seed"],
        device=device_name(device),
        seconds=round(seconds, 3),
        extra=extra,
    )


@contextmanager
def _network(model: CellModel, config: AnnotateConfig, device: torch.device) -> Iterator[Network]:
    """The model ready to run, the process's random state left as it was."""
    keep_freed_memory()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(config.seed)
        precision = choose_precision(config.precision, device)
        yield Network(
            model.to(device), device, precision, attention=config.attention, slots=config.slots
        )


class _Findings:
    """Arrays of all N cells, filled batch by batch."""

    def __init__(self, tokens: Tokens, model: CellModel, config: AnnotateConfig) -> None:
        self._lengths = tokens.lengths
        self._model = model
        self._config = config
        self._gatherer: ScoreGatherer | None = None
        self.probabilities = np.zeros((len(tokens), len(model.labels)), dtype=np.float32)
        self.embedding = np.zeros((len(tokens), 0), dtype=np.float32)
        self._novelty = np.full(len(tokens), np.nan, dtype=np.float32)

    def put(self, answer: Answer, still_here: Callable[[], None]) -> PartialAnnotation:
        """Keep what the network said of a batch; says now and then that it is ``still_here``."""
        rows, arrays = answer.batch.rows, answer.arrays()
        if not np.isfinite(arrays.probabilities).all():
            raise BundleError(
                "The model's answer holds values that are not finite numbers.",
                "Finite weights and values are needed.",
                "Try full precision (fp32); if that does not help, train the model again.",
                {"precision": "fp32"},
            )
        if self.embedding.shape[1] != arrays.embedding.shape[1]:
            width = arrays.embedding.shape[1]
            self.embedding = np.zeros((len(self.embedding), width), dtype=np.float32)
        self.embedding[rows] = arrays.embedding
        self.probabilities[rows] = arrays.probabilities
        if arrays.scores is not None:
            if self._gatherer is None:
                genes, count = len(self._model.vocabulary), arrays.scores.shape[1]
                self._gatherer = ScoreGatherer(self._lengths, genes, count)
                self._gatherer.clear(still_here)
            self._gatherer.put(answer.batch, arrays.scores)
        novelty = self._model.novelty(arrays.embedding)
        if novelty is not None:
            self._novelty[rows] = novelty
        part = self._annotation(rows.astype(str), arrays.probabilities, arrays.embedding, novelty)
        return PartialAnnotation(rows, part.codes, part.confidence)

    def annotation(self, cells: Cells) -> Annotation:
        """Labels, confidences and novelties of all cells."""
        known = len(cells) and np.isfinite(self._novelty).all()
        return self._annotation(
            cells.ids, self.probabilities, self.embedding, self._novelty if known else None
        )

    def _annotation(
        self,
        ids: npt.NDArray[np.str_],
        probabilities: npt.NDArray[np.float32],
        embedding: npt.NDArray[np.float32],
        novelty: npt.NDArray[np.float32] | None,
    ) -> Annotation:
        return Annotation(
            ids, self._model.labels, probabilities, embedding, self._config.min_confidence,
            novelty, self._config.max_novelty, self._model.tree,
        )  # fmt: skip

    def scores(
        self, cells: Cells, context: JobContext
    ) -> tuple[GeneScores | None, SlotScores | None]:
        """The scores asked for, over the model's vocabulary."""
        if self._gatherer is None:
            return None, None
        panel = self._model.vocabulary.named_as(cells.panel)
        matrices = []
        for matrix in self._gatherer.finish():
            matrices.append(matrix)
            context.step("gathering scores", len(matrices), self._gatherer.matrices)
        slots = tuple(matrices[1:] if self._config.attention else matrices)
        return (
            GeneScores(cells.ids, panel, matrices[0]) if self._config.attention else None,
            SlotScores(cells.ids, panel, slots) if self._config.slots else None,
        )


def _run(
    network: Network,
    tokens: Tokens,
    found: _Findings,
    batches: Batches,
    context: JobContext,
) -> None:
    """Pass all cells through the network; a batch that does not fit in memory is halved."""
    done = 0
    context.step("annotating", done, len(tokens))

    def still_here() -> None:
        context.step("annotating", 0, len(tokens))

    for answer in answers(network, tokens, batches):
        partial = found.put(answer, still_here)
        done += len(partial.rows)
        context.step("annotating", done, len(tokens), partial)


def _require_capabilities(model: CellModel, config: AnnotateConfig) -> None:
    wanted = {Capability.ANNOTATE}
    wanted |= {Capability.GENE_SCORES} if config.attention else set()
    wanted |= {Capability.SLOT_SCORES} if config.slots else set()
    missing = sorted(wanted - model.capabilities)
    if missing:
        raise ArgumentError(
            f"This model cannot give: {', '.join(missing)}.",
            f"It can give: {', '.join(sorted(model.capabilities)) or 'nothing'}.",
            "Choose another bundle, or ask for less.",
            {"attention": False},
        )


def shared_genes(cells: Cells, model: CellModel) -> int:
    """How many of the model's genes were measured; none is an error."""
    shared = int((model.vocabulary.columns_in(cells.panel) >= 0).sum())
    if not shared:
        raise InputError(
            f"The section and the model share 0 genes: the section has {len(cells.panel)} "
            f"({_examples(cells.panel.symbols)}), the model knows {len(model.vocabulary)} "
            f"({_examples(model.vocabulary.symbols)}).",
            "Both must name genes of one species in the same way.",
            "Choose the column that holds gene symbols or Ensembl ids, or a model of this species.",
        )
    return shared


def _examples(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
