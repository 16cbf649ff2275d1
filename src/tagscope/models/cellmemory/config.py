"""The numbers that define a CellMemory network and how cells are written as tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tagscope.core.fields import only_known
from tagscope.errors import ArgumentError

Mode = Literal["expressed", "full"]
Encoding = Literal["bins", "round", "both"]
Compat = Literal["none", "published"]

_CHOICES = {
    "mode": ("expressed", "full"),
    "encoding": ("bins", "round", "both"),
    "compat": ("none", "published"),
}
_AT_LEAST = {"width": 2, "ffn": 1, "layers": 1, "heads": 1, "slots": 1, "key_width": 1,
             "networks": 1, "max_tokens": 1, "max_bin": 2, "max_value": 1, "pad_to": 0}  # fmt: skip
_MOST_TOKENS = 32_768  # tokens are kept as int16


@dataclass(frozen=True)
class CellMemoryConfig:
    """Sizes and encoding of a CellMemory network (Wang et al., Genome Biology 2025, 26:178)."""

    mode: Mode = "expressed"
    """Genes a cell is read with: those it expresses, or all measured ones, zeros included."""

    encoding: Encoding = "bins"
    """Tokens are the cell's own expression quantiles, its log values rounded up, or both."""

    max_bin: int = 50
    """Number of quantile edges; with ``encoding="round"`` the cap of a rounded value."""

    max_value: int = 60
    """Cap of a rounded value beside the quantiles, with ``encoding="both"``."""

    resolution: float = 1.0
    """Rounded values per unit of log value."""

    width: int = 256
    """Width of token, memory and cell embedding; even, and a multiple of ``heads``."""

    ffn: int = 512
    """Width of the feed-forward layer."""

    layers: int = 4
    """How often the one shared layer is applied."""

    heads: int = 4
    """Attention heads."""

    key_width: int = 32
    """Query and key size of one head."""

    slots: int = 8
    """Memory slots the genes compete for."""

    top_k: int | None = None
    """Genes kept per slot and head when writing into memory; None keeps all."""

    networks: int = 1
    """Networks trained apart, whose answers are averaged."""

    dropout: float = 0.1
    """Dropout on the embedding, the attention and the feed-forward output while training."""

    max_tokens: int = 10_000
    """Most genes a cell is read with in ``expressed`` mode; more are drawn at random, by seed."""

    pad_to: int = 0
    """Padded length with ``compat="published"``; 0 takes the longest of all cells read."""

    compat: Compat = "none"
    """``published`` reproduces the published code: padding takes part in attention."""

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                _refuse(name, getattr(self, name), f"one of {', '.join(allowed)}")
        for name, least in _AT_LEAST.items():
            if getattr(self, name) < least:
                _refuse(name, getattr(self, name), f"at least {least}")
        if self.tokens > _MOST_TOKENS:
            _refuse("max_bin", self.max_bin, f"at most {_MOST_TOKENS} tokens in all")
        if self.width % self.heads or self.width % 2:
            _refuse("width", self.width, f"an even multiple of the {self.heads} heads")
        if self.top_k is not None and self.top_k < 1:
            _refuse("top_k", self.top_k, "at least 1, or none")
        if not 0.0 <= self.dropout < 1.0:
            _refuse("dropout", self.dropout, "at least 0 and below 1")
        if self.resolution <= 0:
            _refuse("resolution", self.resolution, "above 0")

    @property
    def tokens(self) -> int:
        """Number of tokens, 0 included: with ``encoding="both"`` bin + (max_bin + 1) · value."""
        return (self.max_bin + 1) * (self.max_value + 1 if self.encoding == "both" else 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CellMemoryConfig:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ArgumentError
            If a key is unknown or a value out of range.
        """
        return cls(**only_known(cls, data, "CellMemory"))


def _refuse(name: str, value: Any, needed: str) -> None:
    raise ArgumentError(
        f"CellMemory cannot have {name} = {value!r}.", f"Needed: {needed}.", f"Change {name}."
    )
