"""The list of sections opened before."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_tagscope.controllers.recent import LONGEST_LIST, RecentSection, RecentSections
from napari_tagscope.controllers.section import SectionController


@pytest.fixture
def recent(tmp_path):
    return RecentSections(tmp_path / "lists" / "recent-sections.json")


def test_the_last_one_is_first_and_each_is_there_once(recent):
    for name in ("a", "b", "a"):
        recent.remember(Path("/data") / name, {"layer": "counts"})
    names = [entry.path.name for entry in recent.entries()]
    assert names == ["a", "b"]
    assert recent.entries()[0].choices == {"layer": "counts"}


def test_the_list_stays_short_and_a_broken_one_is_begun_anew(recent):
    for number in range(LONGEST_LIST + 5):
        recent.remember(Path(f"/data/{number}"), {})
    assert len(recent.entries()) == LONGEST_LIST
    recent.file.write_text("[{")
    assert recent.entries() == ()
    recent.remember(Path("/data/new"), {})
    assert len(recent.entries()) == 1


def test_a_list_that_cannot_be_written_harms_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    RecentSections(tmp_path / "file" / "list.json").remember(Path("/data/a"), {})


def test_sections_opened_are_listed_and_open_again_as_they_were(
    state, runner, painter, recent, section_file
):
    first = SectionController(state, runner, painter, recent)
    first.open(section_file, where="age > 5")
    later = SectionController(state, runner, painter, recent)
    (entry,) = later.state.recent
    assert entry == RecentSection(section_file, {"where": "age > 5"})
    state.set_section(None)
    later.open_recent(entry)
    assert len(state.opened.section) == 15


def test_a_missing_one_is_told_and_leaves_the_list(state, runner, painter, recent, section_file):
    controller = SectionController(state, runner, painter, recent)
    controller.open(section_file)
    section_file.unlink()
    controller.open_recent(controller.state.recent[0])
    assert "no longer there" in controller.state.failure.error.found
    assert controller.state.recent == ()
    assert recent.entries() == ()
