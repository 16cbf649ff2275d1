"""Ordered labels with colours that colour-blind people can tell apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

UNASSIGNED = "Unassigned"
UNASSIGNED_COLOR = "#7f7f7f"

# how tables on disk spell "nobody knows"
MISSING = ("", "NA", "N/A", "nan", "NaN", "<NA>", "None")
NO_LABEL = (*MISSING, UNASSIGNED)

# Okabe and Ito (2008), without black, then Tol's muted scheme where it adds a new hue.
_NAMED_COLORS = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
    "#88ccee", "#882255", "#ddcc77", "#332288", "#44aa99", "#cc6677", "#999933",
    "#aa4499", "#117733",
)  # fmt: skip


def default_colors(count: int) -> tuple[str, ...]:
    """``count`` distinct colours as ``#rrggbb``.

    The first sixteen are published colour-blind-safe ones. Further ones step the hue by the golden
    angle and change perceived lightness at every step, so that neighbours differ in both.
    """
    colors = list(_NAMED_COLORS[:count])
    for index in range(len(colors), count):
        hue = 2 * math.pi * ((index * 0.61803398875) % 1.0)
        lightness = (0.80, 0.46, 0.63)[index % 3] + 0.015 * (index // 3 % 5)
        colors.append(_from_oklch(lightness, (0.12, 0.08)[index // 3 % 2], hue))
    return tuple(colors)


def _from_oklch(lightness: float, chroma: float, hue: float) -> str:
    """``#rrggbb`` of a colour in OKLCh (Ottosson 2020), clipped to what a screen can show."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(max(c, 0.0), 1.0))):02x}" for c in linear)


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


@dataclass(frozen=True)
class LabelSet:
    """Ordered labels, one colour each. ``Unassigned`` is never among them: its code is −1."""

    names: tuple[str, ...]
    colors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError("a label occurs twice")
        if not self.colors:
            object.__setattr__(self, "colors", default_colors(len(self.names)))
        if len(self.colors) != len(self.names):
            raise ValueError(f"{len(self.colors)} colours for {len(self.names)} labels")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_values(cls, values: Iterable[str]) -> LabelSet:
        """The sorted distinct values, with default colours."""
        return cls(tuple(sorted(set(values))))

    def code(self, name: str) -> int:
        """Position of a label, −1 for any other value (``Unassigned`` included)."""
        return self.names.index(name) if name in self.names else -1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"names": list(self.names), "colors": list(self.colors)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LabelSet:
        """Inverse of :meth:`to_dict`."""
        return cls(tuple(data["names"]), tuple(data["colors"]))
