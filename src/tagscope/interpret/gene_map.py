"""A picture of genes by their embeddings: like genes near each other, modules named.

Drawn with matplotlib's objects and the Agg canvas: no pyplot, so it is safe in any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from tagscope.core.labels import default_colors

if TYPE_CHECKING:
    from tagscope.interpret.gene_embeddings import GeneEmbeddings

_INCHES = 5.0
_FONT_SIZE = 6.5


def gene_map(found: GeneEmbeddings) -> Figure:
    """The map of ``found``, each module in a colour, its leading genes written at its middle."""
    figure = Figure(figsize=(_INCHES, _INCHES))
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    modules = int(found.modules.max(initial=-1)) + 1
    colors = np.array(default_colors(modules), dtype=object)
    size = float(np.clip(4000 / max(len(found.umap), 1), 2, 20))
    across, up = found.umap.T
    axes.scatter(across, up, s=size, c=list(colors[found.modules]), linewidths=0)
    halo = [withStroke(linewidth=1.5, foreground="white")]
    for module in range(modules):
        x, y = np.median(found.umap[found.modules == module], axis=0)
        names = "\n".join(found.leading(module))
        axes.text(x, y, names, fontsize=_FONT_SIZE, ha="center", va="center", path_effects=halo)
    axes.set_xlabel("UMAP 1", fontsize=_FONT_SIZE + 1)
    axes.set_ylabel("UMAP 2", fontsize=_FONT_SIZE + 1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    return figure
