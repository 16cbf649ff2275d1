"""The file reader claims what is ours and nothing else; controllers load no GUI."""

from __future__ import annotations

import subprocess
import sys

import anndata as ad
import zarr

from napari_tagscope.reader import get_reader


def test_it_claims_a_section_file(section_file):
    assert callable(get_reader(str(section_file)))


def test_it_claims_the_folder_of_a_vendor(tmp_path):
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "experiment.xenium").touch()
    assert callable(get_reader(str(tmp_path)))


def test_it_leaves_tables_without_coordinates_to_others(section_file, tmp_path):
    table = ad.read_h5ad(section_file)
    del table.obsm["spatial"]
    table.write_h5ad(tmp_path / "cells.h5ad")
    assert get_reader(str(tmp_path / "cells.h5ad")) is None


def test_it_leaves_other_files_and_lists_to_others(tmp_path, section_file):
    (tmp_path / "text.h5ad").write_text("no")
    assert get_reader(str(tmp_path / "text.h5ad")) is None
    assert get_reader(str(tmp_path / "missing.h5ad")) is None
    assert get_reader([str(section_file), str(section_file)]) is None


def test_it_leaves_other_zarr_to_others(tmp_path):
    group = zarr.create_group(tmp_path / "image.zarr")
    group.create_group("tables").create_group("nothing")
    assert get_reader(str(tmp_path / "image.zarr")) is None


def test_it_claims_the_sample_store(sample_data):
    assert callable(get_reader(str(sample_data / "section.zarr")))


def test_without_a_viewer_it_reads_centroids(section_file):
    [(xy, options, kind)] = get_reader(str(section_file))(str(section_file))
    assert xy.shape == (30, 2)
    assert kind == "points"
    assert options["name"]


def test_controllers_load_neither_qt_nor_napari():
    modules = ("section", "legend", "annotate", "training", "attention")
    imports = ", ".join(f"napari_tagscope.controllers.{name}" for name in modules)
    code = (
        f"import sys, {imports}; "
        "print([m for m in ('napari', 'qtpy', 'PyQt6', 'vispy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
