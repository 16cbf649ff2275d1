"""The numbers that define an OmniCell network and how cells are written as sequences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tagscope.core.fields import only_known
from tagscope.errors import ArgumentError

Compat = Literal["none", "published"]

_AT_LEAST = {"width": 2, "ffn": 1, "layers": 1, "heads": 1, "shared_experts": 0,
             "routed_experts": 1, "experts_used": 1, "rotary_width": 0}  # fmt: skip


@dataclass(frozen=True)
class OmniCellConfig:
    """Sizes of an OmniCell network; the default is the published one of 73,521,152 parameters
    with its vocabulary of 60,603 genes."""

    width: int = 512
    """Width of token and cell embedding; a multiple of ``heads``."""

    ffn: int = 2048
    """Width of the gated feed-forward layer."""

    layers: int = 10
    """Transformer layers."""

    heads: int = 8
    """Attention heads."""

    shared_experts: int = 5
    """Experts that embed the value of every gene."""

    routed_experts: int = 10
    """Experts of which a gene's router chooses some."""

    experts_used: int = 5
    """Routed experts that embed a gene's value."""

    rotary_width: int = 64
    """Channels of a head that its cell's position rotates, a multiple of 4; 0 for no position."""

    rotary_base: float = 10_000.0
    """Base of the angular frequencies."""

    eps: float = 1e-6
    """Added to the mean square in RMS normalisation."""

    dropout: float = 0.1
    """Dropout on attention and on the outputs of attention and feed-forward while training."""

    compat: Compat = "none"
    """``published`` reproduces the published code in reduced precision, where the angular
    frequencies are rounded with the weights."""

    flash: bool = True
    """False, with ``compat="published"``, reproduces the published code without flash attention,
    where a token attends over its own heads and never sees another."""

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            if getattr(self, name) < least:
                _refuse(name, getattr(self, name), f"at least {least}")
        if self.width % self.heads:
            _refuse("width", self.width, f"a multiple of the {self.heads} heads")
        if self.experts_used > self.routed_experts:
            _refuse("experts_used", self.experts_used, f"at most {self.routed_experts}")
        if self.rotary_width % 4 or self.rotary_width > self.head_width:
            needed = f"a multiple of 4, at most {self.head_width}, the width of a head"
            _refuse("rotary_width", self.rotary_width, needed)
        if not 0.0 <= self.dropout < 1.0:
            _refuse("dropout", self.dropout, "at least 0 and below 1")
        if self.compat not in ("none", "published"):
            _refuse("compat", self.compat, "one of none, published")
        if not self.flash and self.compat != "published":
            _refuse("flash", self.flash, "true, unless compat is published")

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.width // self.heads

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> OmniCellConfig:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ArgumentError
            If a key is unknown or a value out of range.
        """
        return cls(**only_known(cls, data, "OmniCell"))


@dataclass(frozen=True)
class HeadConfig:
    """How labels are told from an OmniCell's embeddings."""

    most_genes: int = 500
    """Genes that cells are read over at most, those that vary most in the reference."""

    hidden: int | None = None
    """Width of the two hidden layers; that of the embedding if not given."""

    dropout: float = 0.3
    """Dropout behind each of them while training."""

    whiten: bool = True
    """Whether the training cells' principal components are brought to one variance first."""

    networks: int = 1
    """Heads trained apart, whose answers are averaged."""

    def __post_init__(self) -> None:
        for name in ("most_genes", "hidden", "networks"):
            value = getattr(self, name)
            if value is not None and value < 1:
                _refuse(name, value, "at least 1")
        if not 0.0 <= self.dropout < 1.0:
            _refuse("dropout", self.dropout, "at least 0 and below 1")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HeadConfig:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ArgumentError
            If a key is unknown or a value out of range.
        """
        return cls(**only_known(cls, data, "The head of OmniCell"))


def _refuse(name: str, value: Any, needed: str) -> None:
    raise ArgumentError(
        f"OmniCell cannot have {name} = {value!r}.",
        f"Needed: {needed}.",
        "Give another value.",
        {name: None},
    )
