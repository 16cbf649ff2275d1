"""The cell types of the simulated tissue: what they express, how large they are, where they live.

Gene symbols are those of well-known mouse marker genes, so that the tissue reads naturally; levels
of expression are made up.
"""

from __future__ import annotations

from dataclasses import dataclass

LAYERS = ("L1", "L2/3", "L4", "L5", "L6", "White matter")
DOMAINS = (*LAYERS, "Vessel", "Lesion core", "Lesion border")

PROGRAMS: dict[str, tuple[str, ...]] = {
    "neuron": ("Snap25", "Rbfox3", "Syt1", "Stmn2", "Meg3", "Nrgn"),
    "excitatory": ("Slc17a7", "Satb2", "Neurod2", "Neurod6", "Camk2a", "Nptx1"),
    "inhibitory": ("Gad1", "Gad2", "Slc32a1", "Dlx1", "Arx", "Erbb4"),
    "upper layer": ("Calb1", "Pou3f2", "Mdga1"),
    "deep layer": ("Foxp1", "Sox5", "Etv1", "Sulf2"),
    "astroglia": ("Gja1", "Slc1a3", "Sox9", "Ntsr2", "Cst3", "Clu"),
    "oligodendrocyte lineage": ("Sox10", "Olig1", "Olig2", "Bcas1"),
    "vascular": ("Igfbp7", "Esam", "Ebf1", "Sparc", "Epas1"),
    "immune": ("Ptprc", "Laptm5", "Coro1a", "Cd53", "Cd52"),
    "activity": ("Fos", "Arc", "Egr1", "Junb", "Nr4a1"),
    "injury": ("Vim", "Cd44", "B2m", "Isg15", "Ifit3", "Stat1", "C4b", "Spp1"),
}
"""Genes that related types share, and two programs that switch on in single cells."""

BACKGROUND = (
    "Actb", "Gapdh", "Ubb", "Eef1a1", "Hsp90ab1", "Ppia", "Rpl4", "Tuba1a", "Calm1", "Ywhaz",
    "Atp1b1", "Aldoa", "Cfl1", "Pkm", "Sod1", "Tmsb4x", "Ckb", "Dynll1", "Gnas", "Itm2c",
    "Nfia", "Nfib", "Tcf4", "Mef2c", "Celf2", "Qk", "Ank2", "Ptprd", "Lsamp", "Nrxn1",
    "Cadm2", "Kcnip4", "Dlg2", "Fgf14", "Csmd1", "Rora", "Zbtb20", "Foxo3", "Sirt2", "Bcl2",
    "Cdkn1a", "Mki67", "Top2a", "Hmgb2", "Ccnd1", "Vegfa", "Hif1a", "Ldha", "Hmox1", "Nqo1",
    "Txnip", "Ddit3", "Atf4", "Xbp1", "Hspa5", "Sqstm1", "Lamp1", "Ctsd", "Ctsb", "Apoe",
    "Apod", "Ptgds", "Timp2", "Cd9", "Cd63", "Cd81", "Sdc4", "Ncam1", "Nrcam", "Plxna4",
)  # fmt: skip
"""Genes of the panel that tell no type from another."""

BEYOND_PANEL = (
    "Rps3", "Rpl13", "Rps8", "Eif1", "Fau", "Tpt1", "Cox4i1", "Cox8a", "Atp5f1b", "Ndufa4",
    "Uqcrh", "Psap", "Scd2", "Sparcl1", "Mt1", "Mt2", "Mt3", "Aldoc", "Dbi", "Fth1",
    "Ftl1", "Ubc", "Hspa8", "Hsp90aa1", "Calm2", "Stmn1", "Basp1", "Gap43", "Map1b", "Nefl",
)  # fmt: skip
"""Genes that only the reference measures."""

NOT_IN_REFERENCE = ("Sdc4", "Nrcam", "Ifit3", "Galnt14", "Vwc2", "Matn4")
"""Genes of the panel that the reference does not measure."""

CONTROLS = tuple(f"NegControlProbe_{index:05d}" for index in range(1, 9))
"""Negative controls: seen among the transcripts, never in the table."""


@dataclass(frozen=True)
class CellType:
    """One cell type.

    ``markers`` are planted: highest in this type. ``programs`` are shared with relatives, each with
    its relative level. ``likeness`` to other types lends a share of their markers. ``counts`` is
    the mean number of transcripts relative to the others. ``radius`` in µm; ``elongation`` is the
    ratio of the axes. ``where`` is the relative abundance in each domain of ``DOMAINS``.
    """

    name: str
    markers: tuple[str, ...]
    programs: dict[str, float]
    counts: float
    radius: float
    where: tuple[float, ...]
    likeness: tuple[tuple[str, float], ...] = ()
    elongation: float = 1.25


_EXCITATORY = {"neuron": 1.0, "excitatory": 1.0}
_INHIBITORY = {"neuron": 1.0, "inhibitory": 1.0}

#                    L1    L2/3  L4    L5    L6    WM    vessel core border
TYPES = (
    CellType(
        "L2/3 IT",
        ("Cux2", "Otof", "Rasgrf2", "Wfs1", "Stard8", "Adamts2", "Agmat", "Cdh13"),
        {**_EXCITATORY, "upper layer": 1.0},
        1.35, 7.4,
        (0.01, 0.60, 0.06, 0.00, 0.00, 0.00, 0.0, 0.00, 0.0),
        (("L4 IT", 0.20),),
    ),
    CellType(
        "L4 IT",
        ("Rorb", "Rspo1", "Scnn1a", "Whrn", "Thsd7a", "Tnnc1", "Galnt14", "Ctxn3"),
        {**_EXCITATORY, "upper layer": 0.6},
        1.2, 6.6,
        (0.00, 0.06, 0.62, 0.06, 0.00, 0.00, 0.0, 0.00, 0.0),
        (("L2/3 IT", 0.20), ("L5 ET", 0.08)),
    ),
    CellType(
        "L5 ET",
        ("Fezf2", "Bcl11b", "Pou3f1", "Fam84b", "Chrna6", "Crym", "Parm1", "Slco2a1"),
        {**_EXCITATORY, "deep layer": 1.0},
        1.7, 8.8,
        (0.00, 0.00, 0.05, 0.48, 0.04, 0.00, 0.0, 0.00, 0.0),
        (("L6 CT", 0.18), ("L4 IT", 0.08)),
    ),
    CellType(
        "L6 CT",
        ("Foxp2", "Syt6", "Tle4", "Rprm", "Sulf1", "Col23a1", "Hs3st4", "Ntsr1"),
        {**_EXCITATORY, "deep layer": 0.9},
        1.2, 7.0,
        (0.00, 0.00, 0.00, 0.06, 0.60, 0.03, 0.0, 0.00, 0.0),
        (("L5 ET", 0.18),),
    ),
    CellType(
        "Pvalb",
        ("Pvalb", "Tac1", "Cox6a2", "Syt2", "Pthlh", "Cemip", "Btbd11", "Vwc2"),
        _INHIBITORY, 1.45, 7.6,
        (0.00, 0.06, 0.09, 0.10, 0.06, 0.00, 0.0, 0.00, 0.0),
        (("Sst", 0.15),),
    ),
    CellType(
        "Sst",
        ("Sst", "Crhbp", "Hpse", "Elfn1", "Grin3a", "Lypd6", "Moxd1", "Nxph2"),
        _INHIBITORY, 1.2, 7.0,
        (0.01, 0.04, 0.05, 0.10, 0.08, 0.01, 0.0, 0.00, 0.0),
        (("Pvalb", 0.15),),
    ),
    CellType(
        "Vip",
        ("Vip", "Tac2", "Prox1", "Htr3a", "Npy2r", "Chat", "Crispld2", "Penk"),
        _INHIBITORY, 1.05, 6.2,
        (0.16, 0.09, 0.04, 0.03, 0.02, 0.00, 0.0, 0.00, 0.0),
        (("Sst", 0.08),),
    ),
    CellType(
        "Astrocyte",
        ("Aqp4", "Aldh1l1", "Slc7a10", "Agt", "Gjb6", "Acsbg1", "Fgfr3", "Mfge8"),
        {"astroglia": 1.0}, 0.85, 6.0,
        (0.44, 0.10, 0.10, 0.11, 0.10, 0.13, 0.1, 0.02, 0.1),
        (("Reactive astrocyte", 0.10),),
    ),
    CellType(
        "Reactive astrocyte",
        ("Gfap", "Serpina3n", "Lcn2", "Osmr", "Timp1", "Steap4", "S1pr3", "Aspg"),
        {"astroglia": 1.0, "injury": 0.6}, 1.0, 6.6,
        (0.01, 0.00, 0.00, 0.00, 0.00, 0.01, 0.0, 0.30, 0.26),
        (("Astrocyte", 0.30),),
    ),
    CellType(
        "Oligodendrocyte",
        ("Mbp", "Mog", "Plp1", "Mag", "Mobp", "Opalin", "Ermn", "Gjc3"),
        {"oligodendrocyte lineage": 0.8}, 0.9, 5.0,
        (0.03, 0.03, 0.06, 0.13, 0.16, 0.70, 0.0, 0.06, 0.1),
        (("OPC", 0.05),),
    ),
    CellType(
        "OPC",
        ("Pdgfra", "Cspg4", "Vcan", "Lhfpl3", "C1ql1", "Gpr17", "Neu4", "Matn4"),
        {"oligodendrocyte lineage": 1.0}, 0.8, 5.2,
        (0.09, 0.03, 0.03, 0.04, 0.05, 0.08, 0.0, 0.05, 0.05),
        (("Oligodendrocyte", 0.05),),
    ),
    CellType(
        "Microglia",
        ("P2ry12", "Tmem119", "Cx3cr1", "Csf1r", "Hexb", "Siglech", "Trem2", "Aif1"),
        {"immune": 1.0}, 0.7, 5.0,
        (0.12, 0.05, 0.05, 0.05, 0.05, 0.06, 0.03, 0.40, 0.22),
        elongation=1.5,
    ),
    CellType(
        "Endothelial",
        ("Cldn5", "Flt1", "Pecam1", "Ly6c1", "Slco1a4", "Emcn", "Cdh5", "Tek"),
        {"vascular": 1.0}, 0.75, 5.0,
        (0.04, 0.02, 0.02, 0.02, 0.02, 0.02, 0.52, 0.03, 0.02),
        (("Pericyte", 0.08),),
        elongation=2.4,
    ),
    CellType(
        "Pericyte",
        ("Pdgfrb", "Rgs5", "Kcnj8", "Abcc9", "Vtn", "Higd1b", "Notch3", "Acta2"),
        {"vascular": 0.8}, 0.65, 4.8,
        (0.03, 0.01, 0.01, 0.01, 0.01, 0.01, 0.32, 0.03, 0.01),
        (("Endothelial", 0.08),),
        elongation=2.2,
    ),
    CellType(
        "T cell",
        ("Cd3e", "Cd3d", "Cd8a", "Trac", "Cd2", "Nkg7", "Il7r", "Cxcr6"),
        {"immune": 0.9, "injury": 0.2}, 0.7, 4.2,
        (0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.0, 0.22, 0.06),
        elongation=1.1,
    ),
)  # fmt: skip

TYPE_NAMES = tuple(t.name for t in TYPES)


def panel_genes() -> tuple[str, ...]:
    """The section's genes, in order: alphabetical, as vendors list them."""
    planted = [gene for cell_type in TYPES for gene in cell_type.markers]
    shared = [gene for genes in PROGRAMS.values() for gene in genes]
    return tuple(sorted({*planted, *shared, *BACKGROUND}))


def reference_genes() -> tuple[str, ...]:
    """The reference's genes, in order."""
    kept = set(panel_genes()) - set(NOT_IN_REFERENCE)
    return tuple(sorted(kept | set(BEYOND_PANEL)))


def ensembl_ids(genes: tuple[str, ...]) -> tuple[str, ...]:
    """Made-up Ensembl-like ids in a range that Ensembl does not use, the same for a gene in both
    section and reference."""
    numbers = {g: i for i, g in enumerate(sorted({*panel_genes(), *BEYOND_PANEL}), start=1)}
    return tuple(f"ENSMUSG9{numbers[gene]:010d}" for gene in genes)
