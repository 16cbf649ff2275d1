from __future__ import annotations

from itertools import pairwise

import pytest

from tagscope.core.labels import UNASSIGNED, LabelSet, default_colors


def _lightness(color: str) -> float:
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("count", [0, 1, 16, 40, 300])
def test_colors_are_distinct(count):
    colors = default_colors(count)
    assert len(set(colors)) == count


def test_neighbouring_generated_colors_differ_in_lightness():
    colors = default_colors(60)[16:]
    steps = [abs(_lightness(a) - _lightness(b)) for a, b in pairwise(colors)]
    assert min(steps) > 0.02


def test_codes_follow_the_sorted_names_and_unassigned_has_none():
    labels = LabelSet.from_values(["b", "a", "b"])
    assert labels.names == ("a", "b")
    assert labels.code("b") == 1
    assert labels.code(UNASSIGNED) == -1
    assert LabelSet.from_dict(labels.to_dict()) == labels


def test_a_label_may_not_occur_twice():
    with pytest.raises(ValueError, match="twice"):
        LabelSet(("a", "a"))
