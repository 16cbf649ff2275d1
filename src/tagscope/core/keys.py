"""Every AnnData slot name TAGscope writes, in one place."""

from __future__ import annotations

from dataclasses import dataclass

PROVENANCE = "tagscope"


@dataclass(frozen=True)
class Slots:
    """Names of the slots that belong to one result key, as scanpy names its own."""

    key: str

    @property
    def label(self) -> str:
        """``obs``: the label, categorical."""
        return self.key

    @property
    def colors(self) -> str:
        """``uns``: one colour per category of the label."""
        return f"{self.key}_colors"

    @property
    def confidence(self) -> str:
        """``obs``: probability of the label."""
        return f"{self.key}_confidence"

    @property
    def novelty(self) -> str:
        """``obs``: how unlike its reference the cell is, 0 to 1."""
        return f"{self.key}_novelty"

    def level(self, column: str) -> str:
        """``obs``: the label on a coarser level; its confidence and colours are named after it."""
        return f"{self.key}_{column}"

    @property
    def probabilities(self) -> str:
        """``obsm``: (N, C) probability of every label."""
        return f"{self.key}_probabilities"

    @property
    def embedding(self) -> str:
        """``obsm``: (N, D) cell embedding."""
        return f"X_{self.key}"

    @property
    def proportions(self) -> str:
        """``obsm``: (N, C) share of every type in a spot."""
        return f"{self.key}_proportions"

    @property
    def attention(self) -> str:
        """``layers``: attention score per cell and gene, sparse."""
        return f"{self.key}_attention"

    def slot(self, index: int) -> str:
        """``layers``: memory score of one slot per cell and gene, sparse."""
        return f"{self.key}_slot{index}"

    @property
    def domain(self) -> str:
        """``obs``: the domain, categorical; its colours and provenance are named after it."""
        return f"{self.key}_domain"

    @property
    def domain_features(self) -> str:
        """``obsm``: (N, D) features that domains were found by; the graph of like cells by them has
        the domain's name, in ``obsp`` and ``uns``."""
        return f"X_{self.domain}"

    @property
    def domain_picture(self) -> str:
        """``obsm``: (N, 2) UMAP of these features."""
        return f"X_{self.domain}_umap"

    @property
    def domains(self) -> str:
        """``shapes``: outlines of the domains."""
        return f"{self.key}_domains"

    @property
    def doubt(self) -> str:
        """``obs``: how doubtful the label is where several models were asked, 0 to 1."""
        return f"{self.key}_doubt"

    @property
    def consensus(self) -> str:
        """``obs``: the label of more than half of the models, categorical."""
        return f"{self.key}_label"
