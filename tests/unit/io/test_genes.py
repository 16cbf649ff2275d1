"""Which genes a table holds."""

import numpy as np
import pandas as pd
import pytest

from tagscope.core.panel import GenePanel
from tagscope.io.genes import read_genes, species_of


def var(index, **columns):
    return pd.DataFrame(columns, index=pd.Index(index, dtype=object))


def test_symbols_with_ensembl_ids_beside_them():
    genes = read_genes(var(["ACTB", "CD3E"], gene_ids=["ENSG00000075624", "ENSG00000198851"]))
    assert genes.panel == GenePanel(("ACTB", "CD3E"), ("ENSG00000075624", "ENSG00000198851"))
    assert (genes.kind, genes.species, genes.column) == ("symbols", "human", "index")


@pytest.mark.parametrize("column", ["symbol", "gene_symbols", "feature_name", "Gene_Name"])
def test_ensembl_ids_with_symbols_in_a_column(column):
    ids = ["ENSMUSG00000029580.15", "ENSMUSG00000032093"]
    genes = read_genes(var(ids, **{column: ["Actb", np.nan]}))
    assert genes.panel == GenePanel(("Actb", ids[1]), tuple(ids))
    assert (genes.kind, genes.species, genes.column) == ("Ensembl ids", "mouse", column)


def test_ensembl_ids_alone_are_their_own_names():
    genes = read_genes(var(["ENSG00000075624"]))
    assert genes.panel == GenePanel(("ENSG00000075624",), ("ENSG00000075624",))


def test_numbers_for_names_are_not_genes():
    genes = read_genes(var(["0", "1", "2"]), "Look into the transcripts.")
    assert genes.kind == "missing"
    (finding,) = genes.findings
    assert (finding.severity, finding.code, finding.opens) == ("error", "gene-names-missing", True)
    assert "'0', '1', '2'" in finding.found
    assert finding.fix == "Look into the transcripts."


def test_names_in_a_column_beside_numbers():
    genes = read_genes(var(["0", "1"], feature_name=["Actb", "Cd3e"], gene_ids=["", ""]))
    assert genes.panel == GenePanel(("Actb", "Cd3e"))
    assert not genes.findings


def test_a_gene_twice_is_a_warning():
    (finding,) = read_genes(var(["ACTB", "CD3E", "ACTB"])).findings
    assert (finding.severity, finding.code) == ("warning", "duplicate-genes")
    assert "'ACTB'" in finding.found


@pytest.mark.parametrize(
    ("symbols", "species"),
    [
        (("ACTB", "HLA-DRA", "C1orf127", "CD3E"), "human"),
        (("Actb", "H2-Ab1", "1700022a21rik", "Cd3e", "mt-Nd1"), "mouse"),
        (("gene1", "gene2"), "unknown"),
        (("7", "12"), "unknown"),
    ],
)
def test_species_by_the_way_symbols_are_written(symbols, species):
    assert species_of(GenePanel(symbols)) == species
