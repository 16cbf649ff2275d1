"""The numbers that define a CellPatch network and how cells are read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tagscope.core.fields import only_known
from tagscope.errors import ArgumentError

Compat = Literal["none", "published"]

_AT_LEAST = {"width": 1, "patches": 1, "heads": 1, "layers": 0, "ffn": 1, "projection": 1,
             "decoder_layers": 0, "networks": 1, "padded_together": 1}  # fmt: skip


@dataclass(frozen=True)
class CellPatchConfig:
    """Sizes of a CellPatch network; the default is the published one."""

    width: int = 32
    """Width of a gene, and of a patch; a multiple of ``heads``."""

    patches: int = 64
    """Patches that the genes of a cell are gathered into."""

    heads: int = 2
    """Attention heads."""

    layers: int = 2
    """Layers in which patches attend to each other."""

    ffn: int | None = None
    """Width of the feed-forward layers; twice ``width`` if not given."""

    projection: int | None = 10
    """Width that patches are projected to where they are embeddings or told genes from; not
    projected if none."""

    decoder_layers: int = 1
    """Layers in which the genes that are told attend to each other."""

    dropout: float = 0.1
    """Dropout on attention while training."""

    bottleneck: bool = False
    """Labels are told from projected patches, not from patches."""

    head_dropout: float = 0.0
    """Dropout behind the two hidden layers that labels are told through while training."""

    networks: int = 1
    """Networks trained apart, whose answers are averaged."""

    compat: Compat = "none"
    """``published`` reproduces the published code: padding takes part in attention."""

    padded_together: int = 1
    """With ``compat="published"``: so many cells, in their order, are padded to the longest."""

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                _refuse(name, value, f"at least {least}")
        if self.width % self.heads:
            _refuse("width", self.width, f"a multiple of the {self.heads} heads")
        for name in ("dropout", "head_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                _refuse(name, getattr(self, name), "at least 0 and below 1")
        if self.compat not in ("none", "published"):
            _refuse("compat", self.compat, "none or published")
        if self.bottleneck and self.projection is None:
            _refuse("bottleneck", self.bottleneck, "a projection to tell labels from")

    @property
    def features(self) -> int:
        """Width of a patch as it is embedded."""
        return self.projection or self.width

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CellPatchConfig:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ArgumentError
            If a key is unknown or a value out of range.
        """
        return cls(**only_known(cls, data, "CellPatch"))


def _refuse(name: str, value: Any, needed: str) -> None:
    raise ArgumentError(
        f"CellPatch cannot have {name} = {value!r}.",
        f"Needed: {needed}.",
        "Give another value.",
        {name: None},
    )
