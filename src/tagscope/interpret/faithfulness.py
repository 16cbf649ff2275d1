"""Deletion and insertion: does the label hang on the genes that get the attention?

Genes are hidden from the network in the order of their attention, and the probability of the
label that the whole cell was given is followed (Petsiuk et al. 2018, RISE, for images; DeYoung et
al. 2020, comprehensiveness and sufficiency, for text). Random genes of the same cell and its most
expressed genes, hidden in the same numbers, tell what attention adds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from tagscope.core.keys import Slots
from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import AnnotationResult, read_provenance
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.interpret.faithfulness_report import ORDERS, Curves, FaithfulnessReport
from tagscope.interpret.masking import (
    counts_of,
    drawn_for,
    hide,
    only_first,
    places_by,
    without_first,
)
from tagscope.interpret.stored import cells_of, groups_of
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.base import Capability, CellBatch, CellModel, CellOutput, Tokens
from tagscope.models.batches import Batches, out_of_memory
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_model

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FaithfulnessConfig:
    """How the deletion and insertion test is done."""

    cells_per_type: int = 50
    """Cells drawn of each type; all where a type has fewer."""
    draws: int = 3
    """How often random genes are drawn for each cell."""
    percent: tuple[float, ...] = (1, 2, 5, 10, 20, 50)
    """Percentages of a cell's genes that are hidden, or shown; at least one gene each."""
    seed: int = 0
    """Seed of the cells drawn, the random genes and the order of equal scores."""
    batch_size: int | None = None
    """Cells per batch; as many as suit the device if not given."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    def __post_init__(self) -> None:
        if self.cells_per_type < 1 or self.draws < 1:
            raise ArgumentError(
                f"{self.cells_per_type} cells of a type and {self.draws} draws were asked for.",
                "At least one of each is needed.",
                "Give larger numbers.",
            )
        steps = self.percent
        if not steps or list(steps) != sorted(set(steps)) or steps[0] <= 0 or steps[-1] >= 100:
            raise ArgumentError(
                f"The percentages are {', '.join(f'{p:g}' for p in steps) or 'none'}.",
                "They must rise, from above 0 to below 100: nothing and all are always measured.",
                "Give others.",
                {"percent": None},
            )


def faithfulness(
    cells: Cells,
    model: CellModel,
    groups: LabelSet,
    codes: Ints,
    config: FaithfulnessConfig | None = None,
    *,
    as_padding: bool = False,
    by: str = "cellmemory",
    context: JobContext | None = None,
) -> FaithfulnessReport:
    """Measure how the label of a sample of cells depends on the genes with the most attention.

    A hidden gene is not read: it takes no part in attention. A cell's label is the one that the
    network gives it with all its genes; cells without any gene are left out.

    Parameters
    ----------
    groups, codes
        Types to draw the cells from, and (N,) the code of each cell's type, −1 for none.
    as_padding
        As in :func:`~tagscope.interpret.masking.hide`.
    context
        ``step("hiding genes", done, cells)`` goes before every pass through the network, which has
        a part in its batch's cells; a cancel is answered there.

    Raises
    ------
    ArgumentError
        If the model scores no genes, or no cell can be drawn.
    InputError
        If cells and model share no gene.
    """
    config, context = config or FaithfulnessConfig(), context or JobContext()
    _require_attention(model)
    device = choose_device(config.device)
    model = model.to(device)
    keep_freed_memory()
    rows = sample_of_types(codes, len(groups), config)
    some = cells.take(rows)
    tokens = model.tokenise(some, seed=config.seed, context=context)
    read = np.flatnonzero(tokens.lengths > 0)
    if not len(read):
        raise ArgumentError(
            "None of the cells of any type has a gene that the model reads.",
            "At least one cell with genes is needed.",
            "Choose another grouping.",
            {"by": None},
        )
    trial = _Trial(model, some, config, as_padding, context)
    found = trial.run(tokens, read, device)
    return FaithfulnessReport.of(by, groups, codes[rows[read]], config.percent, found)


def faithfulness_of_table(
    table: AnnData,
    bundle: Bundle,
    config: FaithfulnessConfig | None = None,
    *,
    key: str = "cellmemory",
    by: str | None = None,
    context: JobContext | None = None,
) -> FaithfulnessReport:
    """The same for cells of a table that ``bundle`` annotated under ``key``.

    ``by`` is the column of ``obs`` to draw cells by; the label of ``key`` if None.

    Raises
    ------
    ArgumentError
        If the table has no such column, another bundle annotated it, or genes cannot be hidden
        from this one.
    """
    by = by or Slots(key).label
    groups, codes = groups_of(table, by)
    provenance = read_provenance(table, key)
    _require_the_same_model(provenance, bundle, key)
    as_padding = _way_of_hiding(bundle)
    config = config or FaithfulnessConfig()
    return faithfulness(
        cells_of(table, key),
        load_model(bundle, choose_device(config.device)),
        groups,
        codes,
        config,
        as_padding=as_padding,
        by=by,
        context=context,
    )


def faithfulness_of_result(
    result: AnnotationResult,
    cells: Cells,
    bundle: Bundle,
    config: FaithfulnessConfig | None = None,
    *,
    context: JobContext | None = None,
) -> FaithfulnessReport:
    """The same for a result that is not in a table: ``cells`` are those that were annotated.

    Raises
    ------
    ArgumentError
        If another bundle annotated them, or genes cannot be hidden from this one.
    """
    _require_the_same_model(result.provenance, bundle, result.key)
    as_padding = _way_of_hiding(bundle)
    config = config or FaithfulnessConfig()
    return faithfulness(
        cells,
        load_model(bundle, choose_device(config.device)),
        result.annotation.labels,
        result.annotation.codes,
        config,
        as_padding=as_padding,
        by=result.key,
        context=context,
    )


def _require_the_same_model(provenance: Provenance | None, bundle: Bundle, key: str) -> None:
    inputs = provenance.inputs if provenance is not None else {}
    if inputs.get("bundle_digest", bundle.digest) != bundle.digest:
        raise ArgumentError(
            f"The cells were annotated under {key!r} by another model than {bundle.path}.",
            "The test is of the model that gave the labels and the attention.",
            f"Give the bundle that annotated them ({inputs.get('bundle', 'unknown')}).",
        )


def sample_of_types(codes: Ints, types: int, config: FaithfulnessConfig) -> Ints:
    """Rows of at most ``cells_per_type`` cells of each type, drawn by the seed, ascending."""
    random = np.random.default_rng(config.seed)
    chosen = [
        random.permutation(np.flatnonzero(codes == code))[: config.cells_per_type]
        for code in range(types)
    ]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


class _Trial:
    """One run: a model, the sampled cells, and what to hide from the one in the others."""

    def __init__(
        self,
        model: CellModel,
        cells: Cells,
        config: FaithfulnessConfig,
        as_padding: bool,
        context: JobContext,
    ) -> None:
        self._model = model
        self._config = config
        self._as_padding = as_padding
        self._context = context
        self._values = sp.csr_matrix(cells.restrict(model.vocabulary).values)
        self._done = self._asked = self._total = 0

    def run(self, tokens: Tokens, rows: Ints, device: torch.device) -> Curves:
        """The curves of all cells of ``rows``; a batch that does not fit in memory is halved."""
        found = Curves.empty(len(rows), len(ORDERS), len(self._config.percent) + 2)
        self._done, self._total = 0, len(rows)
        lengths, size = tokens.lengths[rows], self._config.batch_size
        batches = Batches(lengths, None, size, device, self._model.bytes_per_token)
        for positions in batches:
            batch = tokens.batch(rows[positions])
            began, self._asked = time.monotonic(), 0
            try:
                curves = self._curves(batch)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                batches.halve(positions)
                continue
            found.put(positions, curves)
            a_pass = (time.monotonic() - began) / self._passes
            batches.accept(positions, batch.padding.shape[1], a_pass)
            self._done += len(positions)
            self._context.step("hiding genes", self._done, self._total)
        return found

    @property
    def _passes(self) -> int:
        """How often each cell goes through the network."""
        orders = len(ORDERS) - 1 + self._config.draws
        return 2 + 2 * orders * len(self._config.percent)

    def _curves(self, batch: CellBatch) -> Curves:
        """Both tests by every order for the cells of one batch."""
        output = self._model(batch, gene_scores=True)
        assert output.gene_scores is not None
        labels, whole = _likeliest(output)
        padding = batch.padding.numpy()
        lengths = (~padding).sum(axis=1)
        curves = Curves.empty(len(labels), len(ORDERS), len(self._config.percent) + 2)
        curves.shares[:, -1] = 1
        nothing = self._ask(batch, ~padding, labels)
        curves.set_ends(whole, nothing)
        for order, weight, places in self._orders(batch, output.gene_scores.cpu().numpy()):
            for step, percent in enumerate(self._config.percent, 1):
                counts = counts_of(lengths, percent)
                curves.shares[:, step] = counts / lengths
                for test, hidden in enumerate(
                    (without_first(places, counts, padding), only_first(places, counts, padding))
                ):
                    curves.add(test, order, step, weight, *self._ask(batch, hidden, labels))
        return curves

    def _orders(
        self, batch: CellBatch, attention: npt.NDArray[np.float32]
    ) -> Iterator[tuple[int, float, Ints]]:
        """Every order of the genes: its number, its weight in the mean, the genes' places."""
        padding, seed = batch.padding.numpy(), self._config.seed
        length = padding.shape[1]
        ties = drawn_for(batch.rows, length, seed, 0)
        measured = self._values[batch.rows].toarray()
        expression = np.take_along_axis(measured, np.maximum(batch.genes.numpy(), 0), axis=1)
        yield ORDERS.index("attention"), 1.0, places_by(attention, padding, ties)
        yield ORDERS.index("expression"), 1.0, places_by(expression, padding, ties)
        for draw in range(1, self._config.draws + 1):
            random = drawn_for(batch.rows, length, seed, draw)
            places = places_by(np.zeros_like(random), padding, random)
            yield ORDERS.index("random"), 1 / self._config.draws, places

    def _ask(
        self, batch: CellBatch, hidden: npt.NDArray[np.bool_], labels: Ints
    ) -> tuple[Floats, Floats]:
        """Probability of each cell's label with some genes hidden, and whether it is kept."""
        part = len(labels) * self._asked // self._passes
        self._context.step("hiding genes", self._done + part, self._total)
        self._asked += 1
        probabilities = _probabilities(
            self._model(hide(batch, hidden, as_padding=self._as_padding))
        )
        kept = probabilities.argmax(axis=1) == labels
        return probabilities[np.arange(len(labels)), labels], kept.astype(np.float64)


def _likeliest(output: CellOutput) -> tuple[Ints, Floats]:
    """Label and probability of every cell."""
    probabilities = _probabilities(output)
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def _probabilities(output: CellOutput) -> Floats:
    assert output.logits is not None
    return np.asarray(torch.softmax(output.logits.double().cpu(), dim=1).numpy(), np.float64)


def _way_of_hiding(bundle: Bundle) -> bool:
    """Whether hidden genes must become padding tokens.

    With ``compat="published"`` padding takes part in attention, so a gene is left out as the
    published code leaves out one that is not expressed. Its full mode has no padding at all.
    """
    published = bundle.config.get("compat") == "published"
    if published and bundle.config.get("mode") == "full":
        raise ArgumentError(
            f"No gene can be hidden from {bundle.path}: as published, its mode `full` reads every "
            "gene, and knows no padding.",
            "A model that reads expressed genes, or one trained by TAGscope, is needed.",
            "Train a model.",
        )
    return published


def _require_attention(model: CellModel) -> None:
    missing = {Capability.ANNOTATE, Capability.GENE_SCORES} - model.capabilities
    if missing:
        raise ArgumentError(
            f"The model cannot give: {', '.join(sorted(missing))}.",
            "A model that labels cells and scores their genes is needed.",
            "Choose another bundle.",
        )
