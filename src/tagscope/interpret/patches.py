"""The patches of a CellPatch as gene programs: what they attend to, by type, and in which cells."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError, InputError
from tagscope.inference.variable import most_variable
from tagscope.interpret.patch_sums import PatchSums, patch_sums
from tagscope.interpret.statistics import over_others
from tagscope.io.atomic import written_whole
from tagscope.io.findings import listed
from tagscope.io.names import BACKGROUND_SUFFIX, write_names
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.cellpatch.attention import ListedAttention
from tagscope.models.cellpatch.model import CellPatch
from tagscope.models.device import choose_device, device_name

PROGRAMS, BY_TYPE = "patch_programs", "patch_by_type"
_FEWEST_GENES = 2
_FEWEST_CELLS = 10  # whose mean says something of their type
_DRAWN = 3  # genes of each patch in the picture: there are many patches


@dataclass(frozen=True)
class PatchConfig:
    """Over which genes, and of which network, patches are read."""

    n_genes: int = 3000
    """Genes that all cells are read over: at most so many, those that vary most in the section."""
    network: int = 0
    """Which of the model's networks, from 0; the patches of each are its own."""
    top: int = 50
    """Genes of every patch's program."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        for name, least in (("n_genes", _FEWEST_GENES), ("network", 0), ("top", 1)):
            if getattr(self, name) < least:
                raise ArgumentError(
                    f"{name.replace('_', ' ')} is {getattr(self, name)}.",
                    f"At least {least} is needed.",
                    "Give another number.",
                    {name: None},
                )


@dataclass(frozen=True)
class PatchPrograms:
    """What the P patches of a CellPatch network attend to among G genes.

    All cells are read over the same genes, those that a cell does not express included. The
    attention of a patch in a cell, the mean of the heads, sums to 1 over the genes; its z-score is
    (attention − mean) / (standard deviation + 1e-5) over the genes.

    ``programs`` has the top genes of every patch, one row each:

    - ``patch`` (from 0), ``rank`` (from 1), ``gene``;
    - ``z_score``: mean z-score over all cells, or those of one group (:meth:`of`); the ranking;
    - ``attention``: mean attention over all cells; 1 / G is even;
    - ``specificity``: ``attention`` divided by the gene's highest in any other patch.

    ``activity`` (N, P) float32, of the cells ``ids`` (N,): what the patch reads of a cell's
    expression (the values of its genes, each times its attention, summed), divided by the mean of
    all patches in that cell. 1 is even, and what a cell has in which no patch reads anything.

    ``types`` has one row per patch and group with cells: ``patch``, ``group``, ``cells``, mean
    ``activity``, and ``difference``, that mean less the mean of all cells, in standard deviations
    of all cells.

    ``patches`` has one row per patch: ``explained``, the share of the variance of its activity that
    lies between groups (eta squared), and the ``group`` of ten cells or more, if there is any, in
    which the mean activity is highest.

    ``z_scores`` (T, P, G) float32: mean z-scores of the T ``groups`` that have cells;
    ``attention`` (genes, patches): mean attention over all cells.
    """

    by: str
    panel: GenePanel
    programs: pd.DataFrame
    types: pd.DataFrame
    patches: pd.DataFrame
    groups: tuple[str, ...]
    z_scores: npt.NDArray[np.float32]
    attention: pd.DataFrame
    ids: npt.NDArray[np.str_]
    activity: npt.NDArray[np.float32]
    provenance: Provenance

    @property
    def background(self) -> tuple[str, ...]:
        """The genes that could have been listed."""
        return self.panel.symbols

    def of(self, group: str) -> PatchPrograms:
        """The same with the programs that patches have in the cells of one group.

        Raises
        ------
        ArgumentError
            If no cell is of such a group.
        """
        if group not in self.groups:
            raise ArgumentError(
                f"There are no cells of a group {group!r}.",
                f"The groups of {self.by!r} are: {listed(self.groups)}.",
                "Choose one of these.",
            )
        top = int(self.programs["rank"].max())
        scores = self.z_scores[self.groups.index(group)]
        return replace(self, programs=_programs(scores, self.attention, top))

    def to_text(self, top: int = 8, patches: int = 12) -> str:
        """The first ``top`` genes of the ``patches`` whose activity tells groups apart best."""
        best = self.patches.sort_values("explained", ascending=False, kind="stable").head(patches)
        lines = []
        for patch, explained, group in best.itertuples(index=False):
            genes = self.programs.loc[self.programs["patch"] == patch, "gene"].head(top)
            told = f"{explained:.0%} between groups, highest in {group}"
            lines.append(f"patch {patch} ({told}): {', '.join(genes)}")
        return "\n".join(lines)

    def write(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write all tables, pictures and the background of the programs into ``folder``.

        ``z_scores.parquet`` has a row for every group and patch, ``activity.parquet`` one for every
        cell. The folder appears whole or not at all.
        """
        from tagscope.interpret.heatmap import heatmap, tag_heatmap, write_figure

        folder = Path(folder)
        activity = self.types.pivot_table("activity", "group", "patch", sort=False)
        pictures = {
            BY_TYPE: heatmap(
                activity / activity.max(), rows=self.by, columns="patch",
                label="mean activity / patch's highest",
            ),
            PROGRAMS: tag_heatmap(self.attention, "patch", top=_DRAWN, scaled=True),
        }  # fmt: skip
        frames = {PROGRAMS: self.programs, BY_TYPE: self.types, "patches": self.patches}
        with written_whole(folder, overwrite=overwrite) as beside:
            beside.mkdir(exist_ok=True)
            for name, frame in frames.items():
                frame.to_csv(beside / f"{name}.csv", index=False, float_format="%.6g")
            for name, picture in pictures.items():
                write_figure(picture, beside / f"{name}.png")
            write_names(beside / f"{PROGRAMS}{BACKGROUND_SUFFIX}", self.background)
            self._z_frame().to_parquet(beside / "z_scores.parquet")
            cells = pd.DataFrame(self.activity, pd.Index(self.ids, name="cell"))
            cells.rename(columns=str).to_parquet(beside / "activity.parquet")
            (beside / "provenance.json").write_text(self.provenance.to_json(), encoding="utf-8")
        return folder

    def _z_frame(self) -> pd.DataFrame:
        groups, patches, genes = self.z_scores.shape
        rows = pd.MultiIndex.from_product([self.groups, range(patches)], names=["group", "patch"])
        values = self.z_scores.reshape(groups * patches, genes)
        return pd.DataFrame(values, rows, list(self.panel.symbols))


def patch_programs(
    cells: Cells,
    model: CellPatch,
    groups: LabelSet,
    codes: npt.NDArray[np.int64],
    config: PatchConfig | None = None,
    *,
    by: str = "cellpatch",
    gene_list: tuple[str, ...] | None = None,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> PatchPrograms:
    """Read what the patches of a network attend to in every cell.

    Parameters
    ----------
    codes
        (N,) code of each cell's group, −1 for a cell in none.
    gene_list
        The genes that cells are read over, in place of those that ``config`` says.
    context
        Hears ``step("reading patches", cells done, N)``.

    Raises
    ------
    ArgumentError
        If there is no such network, or a listed gene is not known to section and model.
    InputError
        If codes and cells are of different numbers of cells, no cell is in a group, or too few
        genes are shared.
    """
    config, context, began = config or PatchConfig(), context or JobContext(), time.monotonic()
    _require_groups(cells, codes)
    _require_network(model, config.network)
    keep_freed_memory()
    columns = listed_genes(cells, model.vocabulary, config.n_genes, gene_list)
    panel, device = cells.panel.take(columns), _device(config.device)
    genes = panel.columns_in(model.vocabulary)
    values = model.preprocessing.apply(cells, model.vocabulary)[:, genes]
    model.to(device)
    places = torch.from_numpy(genes).to(device)
    attention = ListedAttention(model.networks[config.network].eval(), places)
    sums = patch_sums(attention, values, codes, len(groups), context)
    record = Provenance(
        verb="patches", parameters=asdict(config), inputs=dict(inputs or {}),
        device=device_name(device), seconds=round(time.monotonic() - began, 3),
        extra={"cells": len(cells), "genes": len(panel), "networks": len(model.networks)},
    )  # fmt: skip
    return _found(by, panel, groups, codes, sums, config.top, cells.ids, record)


def listed_genes(
    cells: Cells, vocabulary: GenePanel, n_genes: int, gene_list: tuple[str, ...] | None
) -> npt.NDArray[np.int64]:
    """Columns of the section's genes that a model knows, (G,): those listed, else the most
    variable ones.

    Raises
    ------
    ArgumentError
        If a listed gene is not known to both, or fewer than two are.
    InputError
        If section and model share fewer than two genes.
    """
    shared = cells.panel.shared_with(vocabulary)
    if gene_list is None and len(shared) > n_genes:
        gene_list = most_variable(cells, vocabulary, n_genes)
    if gene_list is not None:
        wanted = np.array([cells.panel.position(gene, gene) for gene in gene_list], np.int64)
        absent = [gene for gene, at in zip(gene_list, wanted, strict=True) if at not in shared]
        if absent or len(set(wanted)) < _FEWEST_GENES:
            raise ArgumentError(
                f"Of {len(gene_list)} genes listed, {len(absent)} are not known to section and "
                f"model{f' ({listed(absent, 3)})' if absent else ''}.",
                f"At least {_FEWEST_GENES} genes that both know are needed.",
                "Correct the list, or leave it out.",
                {"gene_list": None},
            )
        return np.unique(wanted)
    if len(shared) < _FEWEST_GENES:
        raise InputError(
            f"Section and model share {len(shared)} genes.",
            f"At least {_FEWEST_GENES} are needed to compare genes.",
            "Check how the section names its genes, or choose another model.",
            {"genes": None, "bundle": None},
        )
    return shared


def _found(
    by: str, panel: GenePanel, groups: LabelSet, codes: npt.NDArray[np.int64], sums: PatchSums,
    top: int, ids: npt.NDArray[np.str_], record: Provenance,
) -> PatchPrograms:  # fmt: skip
    """The tables of what was summed."""
    present = np.flatnonzero(sums.sizes)
    names = tuple(groups.names[code] for code in present)
    attention = pd.DataFrame(
        sums.attention.T,
        pd.Index(panel.symbols, name="gene", dtype=object),
        pd.RangeIndex(len(sums.attention), name="patch"),
    )
    types, patches = _by_type(sums, codes, names, present)
    programs = _programs(sums.overall, attention, top)
    return PatchPrograms(
        by, panel, programs, types, patches, names, sums.z_scores[present], attention, ids,
        sums.activity, record,
    )  # fmt: skip


def _programs(scores: npt.NDArray[np.float32], attention: pd.DataFrame, top: int) -> pd.DataFrame:
    """The ``top`` genes of every patch by ``scores`` (P, G)."""
    weights = attention.to_numpy().T.astype(np.float64)
    specificity = over_others(weights)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    patches, length = best.shape
    return pd.DataFrame(
        {
            "patch": np.repeat(np.arange(patches), length),
            "rank": np.tile(np.arange(1, length + 1), patches),
            "gene": attention.index.to_numpy()[best].ravel(),
            "z_score": np.take_along_axis(scores, best, axis=1).ravel(),
            "attention": np.take_along_axis(weights, best, axis=1).ravel(),
            "specificity": np.take_along_axis(specificity, best, axis=1).ravel(),
        }
    )


def _by_type(
    sums: PatchSums, codes: npt.NDArray[np.int64], names: tuple[str, ...],
    present: npt.NDArray[np.int64],
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """How the activity of patches differs between groups: by patch and group, and by patch."""
    sizes, grouped = sums.sizes[present], np.flatnonzero(codes >= 0)
    places = np.searchsorted(present, codes[grouped]), grouped
    shape = len(present), len(codes)
    member = sp.csr_matrix((np.ones(len(grouped)), places), shape)
    means = member @ sums.activity / sizes[:, None]
    centre = sizes @ means / sizes.sum()
    of_patch = sums.activity.T  # a column at a time: doubles of all would take much memory
    total = np.array(
        [((own[grouped] - at) ** 2).sum() for own, at in zip(of_patch, centre, strict=True)]
    )
    average, deviation = (
        np.array([found(own, dtype=np.float64) for own in of_patch]) for found in (np.mean, np.std)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = (means - average) / deviation
        explained = sizes @ (means - centre) ** 2 / total
    count = means.shape[1]
    types = pd.DataFrame(
        {
            "patch": np.repeat(np.arange(count), len(names)),
            "group": np.tile(np.array(names, dtype=object), count),
            "cells": np.tile(sizes, count),
            "activity": means.T.ravel(),
            "difference": difference.T.ravel(),
        }
    )
    eligible = sizes >= min(_FEWEST_CELLS, sizes.max())
    highest = np.array(names, dtype=object)[eligible][means[eligible].argmax(axis=0)]
    patches = {"patch": np.arange(count), "explained": explained, "group": highest}
    return types, pd.DataFrame(patches)


def _require_groups(cells: Cells, codes: npt.NDArray[np.int64]) -> None:
    if codes.shape != cells.ids.shape:
        raise InputError(
            f"The section has {len(cells)} cells, the groups are of {len(codes)}.",
            "Groups of the section's own cells are needed.",
            "Annotate the section again.",
        )
    if not (codes >= 0).any():
        raise InputError(
            f"None of the {len(cells)} cells is in a group.",
            "Patches are told by what they read in groups of cells.",
            "Group by another column, or lower the confidence that labels need.",
            {"by": None},
        )


def _require_network(model: CellPatch, network: int) -> None:
    count = len(model.networks)
    if network >= count:
        raise ArgumentError(
            f"There is no network {network}.",
            f"The model has {count}, 0 to {count - 1}.",
            "Choose one of these.",
            {"network": None},
        )


def _device(name: str) -> torch.device:
    """The device of a name; a CPU in place of one that knows no double precision."""
    device = choose_device(name)
    return torch.device("cpu") if device.type == "mps" else device
