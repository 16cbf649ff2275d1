"""The coordinates of a file, before the rest of it is read."""

import numpy as np
import pytest

from tagscope.core.section import Section
from tagscope.io.first_look import first_look
from tagscope.io.readers import open_section
from tagscope.jobs import JobCancelled, JobContext


def with_coordinates(whole):
    whole.obsm["spatial"] = np.arange(2.0 * len(whole)).reshape(-1, 2)


def reports(path, **choices):
    heard = []
    open_section(path, context=JobContext(heard.append), **choices)
    return heard


def test_an_h5ad_and_a_store(tiny, tmp_path):
    table = tiny.table()
    table.write_h5ad(tmp_path / "a.h5ad")
    seen = first_look(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(seen.xy, tiny.centres())
    assert (seen.name, seen.unit, len(seen), len(seen.panel)) == ("a", "unknown", 12, 0)
    store = tiny.store(tmp_path / "b.zarr", edit=with_coordinates)
    np.testing.assert_array_equal(first_look(store).xy, np.arange(24.0).reshape(-1, 2))


def test_it_comes_before_the_section(tiny, tmp_path):
    tiny.table().write_h5ad(tmp_path / "a.h5ad")
    heard = reports(tmp_path / "a.h5ad")
    assert isinstance(heard[0].partial, Section)
    assert [(report.stage, report.done) for report in heard] == [("opening", 0), ("opening", 1)]


def test_a_part_of_a_table_is_not_promised_as_its_whole(tiny, tmp_path):
    tiny.table().write_h5ad(tmp_path / "a.h5ad")
    assert reports(tmp_path / "a.h5ad", where="cell_type == 'T'")[0].partial is None
    two = tiny.store(tmp_path / "b.zarr", regions=("one", "two"), edit=with_coordinates)
    assert first_look(two) is None


def test_opening_can_be_cancelled(tiny, tmp_path):
    tiny.table().write_h5ad(tmp_path / "a.h5ad")
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        open_section(tmp_path / "a.h5ad", context=context)


@pytest.mark.parametrize("name", ["missing.h5ad", "missing.zarr", "text.h5ad", "empty.zarr"])
def test_files_that_have_none(tmp_path, name):
    (tmp_path / "text.h5ad").write_text("cells")
    (tmp_path / "empty.zarr").mkdir()
    assert first_look(tmp_path / name) is None


def test_a_table_without_coordinates(tiny, tmp_path):
    tiny.table(coordinates=False).write_h5ad(tmp_path / "a.h5ad")
    assert first_look(tmp_path / "a.h5ad") is None
    assert first_look(tiny.store(tmp_path / "b.zarr")) is None
