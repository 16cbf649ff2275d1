"""CellPatch and STAGATE joined, which learn from the section that they embed.

CellPatch (2024). Its paper and its code differ in what STAGATE codes, in the learning rate and in
where gradients are clipped; each is a recipe here, and neither the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.models.bundle import Bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.start import start_from
from tagscope.models.cellpatch_stagate.network import CellPatchStagate
from tagscope.training.initial import Floats, relate_genes
from tagscope.training.sitting import own_random_numbers
from tagscope.training.stagate import Kept, StagateConfig

UnionRecipe = Literal["default", "published", "paper"]
_PUBLISHED: dict[str, Any] = {
    "patches": 64, "dropout": 0.1, "related": False, "epochs": 1000, "learning_rate": 1e-3,
}  # fmt: skip


@dataclass(frozen=True)
class UnionConfig(StagateConfig):
    """How CellPatch and STAGATE together embed a section."""

    learning_rate: float = 3e-4
    """Adam's learning rate."""
    concatenate: bool = True
    """STAGATE codes expression beside patches, as in the paper; patches alone, as in its code."""
    patches: int = 16
    """Patches that the genes of a cell are gathered into; 64 as published."""
    patch_width: int = 32
    """Width of a patch; a multiple of the heads."""
    heads: int = 2
    """Attention heads of the patches."""
    dropout: float = 0.0
    """Dropout on the attention of patches to genes. Above 0 no sum is shared by cells: that takes
    many times as long."""
    related: bool = True
    """Gene embeddings start from how genes vary together in the section, not at random."""

    whole: ClassVar[int] = 10_000
    updates: ClassVar[int] = 300  # more told regions no better, and take their time

    def __post_init__(self) -> None:
        super().__post_init__()
        self.network  # noqa: B018 - which refuses what no CellPatch can have

    @classmethod
    def of(cls, recipe: UnionRecipe) -> UnionConfig:
        """A recipe: the default, that of the ``published`` script, or that of the ``paper``.

        Raises
        ------
        ArgumentError
            If there is none of this name.
        """
        if recipe == "default":
            return cls()
        if recipe == "published":
            return cls(concatenate=False, compat="published", **_PUBLISHED)
        if recipe == "paper":
            return cls(**{**_PUBLISHED, "learning_rate": 1e-4, "clip_norm": 0.1})
        raise ArgumentError(
            f"There is no recipe {recipe!r} of CellPatch + STAGATE.",
            "It is default, published or paper.",
            "Choose one of these.",
            {"recipe": "default"},
        )

    @property
    def kept(self) -> Kept:
        """The weights that cells are embedded with."""
        return "lowest" if self.compat == "published" else "last"

    @property
    def network(self) -> CellPatchConfig:
        """The patches alone."""
        return CellPatchConfig(
            width=self.patch_width, patches=self.patches, heads=self.heads, layers=0,
            projection=None, decoder_layers=0, dropout=self.dropout,
        )  # fmt: skip


def joined_network(
    config: UnionConfig, panel: GenePanel, start: Bundle | Floats | None = None
) -> CellPatchStagate:
    """A network over the genes of ``panel`` with its first weights.

    ``start``: a bundle of CellPatch, of whose sizes the patches then are, or components of the
    genes (G, k), which their embeddings start from.

    Raises
    ------
    ArgumentError
        If the bundle holds another model.
    """
    patches = config.network
    if isinstance(start, Bundle):
        start.require(
            "cellpatch",
            "Patches start from a cellpatch, or from none.",
            "Choose another bundle, or leave it out.",
        )
        known = CellPatchConfig.from_dict(start.config)
        patches = CellPatchConfig(
            width=known.width, patches=known.patches, heads=known.heads, ffn=known.ffn, layers=0,
            projection=None, decoder_layers=0, dropout=config.dropout,
        )  # fmt: skip
    with own_random_numbers(config.seed):
        network = CellPatchStagate(
            patches, len(panel), config.hidden, config.width, config.concatenate
        )
        if isinstance(start, Bundle):
            start_from(network.patches, panel, start)
        elif start is not None:
            relate_genes(network.patches.genes.weight[:-1], start)
    return network
