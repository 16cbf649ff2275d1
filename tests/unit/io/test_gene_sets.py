"""GMT files and orthologues: tolerated oddities, and errors that name the line."""

from __future__ import annotations

import pytest

from tagscope.errors import InputError
from tagscope.io.gene_sets import Orthologues, read_gmt, read_orthologues
from tagscope.io.names import read_names, write_names


@pytest.fixture
def write(tmp_path):
    def write(text, name="sets.gmt", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_oddities_are_tolerated(write):
    text = "\ufeffone\t\tA\tB\tA\t\t\r\n\r\ntwo\tsaid\tC,1.0\t D \nthree\tx\tE"
    sets = {s.name: s.genes for s in read_gmt(write(text))}
    assert sets == {"one": ("A", "B"), "two": ("C", "D"), "three": ("E",)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\tG\nb\tG", "Line 2 .* has 1 tabs"),
        ("a\tb\tG\n\n\tb\tG", "Line 3 .* has no name"),
        ("a\tb\t\t", "Line 1 .* has no genes"),
        ("a\tb\tG\nc\td\tG\na\t\tH", "Line 3 .* the name of line 1"),
        ("name,gene\na,G\n", "Line 1 .* has 0 tabs"),
        ("\n\n", "no gene set"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(write, text, said):
    with pytest.raises(InputError, match=said):
        read_gmt(write(text))


def test_files_that_are_no_text(write, tmp_path):
    with pytest.raises(InputError, match="no text"):
        read_gmt(write("a\tb\tÄ", encoding="latin-1"))
    with pytest.raises(InputError, match=r"absent\.gmt cannot be read: No such file"):
        read_gmt(tmp_path / "absent.gmt")


def test_orthologues_turn_either_species_into_the_other(write):
    path = write(
        "id,human_symbol,mouse_symbol\n1,ACTB,Actb\n2,CXCL8,\n3,NA,Na\n4,HLA-A,H2-D1\n5,HLA-A,H2-K1\n",
        "pairs.csv",
    )
    pairs = read_orthologues(path)
    assert len(pairs.human) == 4
    assert pairs.other_species(["Actb", "h2-k1", "Na", "Gm1"]) == (
        "mouse",
        {"Actb": ("ACTB",), "h2-k1": ("HLA-A",), "Na": ("NA",)},
    )
    assert pairs.other_species(["ACTB", "HLA-A"]) == (
        "human",
        {"ACTB": ("Actb",), "HLA-A": ("H2-D1", "H2-K1")},
    )


def test_a_table_without_symbols_is_refused(write):
    with pytest.raises(InputError, match="no column 'mouse_symbol'"):
        read_orthologues(write("human_symbol,other\nA,B\n", "pairs.csv"))


def test_names_are_read_as_they_were_written(tmp_path):
    path = write_names(tmp_path / "names.txt", ("NA", "a b", "1"))
    assert read_names(path) == ("NA", "a b", "1")
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match="empty"):
        read_names(tmp_path / "empty.txt")


def test_real_files(shared):
    genes = shared / "data" / "genes"
    counts = {"go_biological_process_2021": 6036, "hallmark_v7.0": 50, "kegg_v7.5.1": 186}
    for name, count in counts.items():
        sets = read_gmt(genes / f"{name}.gmt")
        assert len(sets) == count
        assert all(s.genes and "" not in s.genes for s in sets)
    hallmark = {s.name: s.genes for s in read_gmt(genes / "hallmark_v7.0.gmt")}
    assert len(hallmark["HALLMARK_TNFA_SIGNALING_VIA_NFKB"]) == 200
    pairs: Orthologues = read_orthologues(genes / "human_mouse_orthologues.csv")
    assert len(pairs.human) == 17312
    assert pairs.other_species(["Gad1", "Slc17a6"])[1] == {
        "Gad1": ("GAD1",), "Slc17a6": ("SLC17A6",),
    }  # fmt: skip
