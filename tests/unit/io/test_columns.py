from __future__ import annotations

import pandas as pd
import pytest

from tagscope.errors import ArgumentError
from tagscope.io.columns import column_of

OBS = pd.DataFrame({"cell_type": ["A", "B"], "batch": ["1", "2"]})


def test_a_column_that_is_there():
    assert column_of(OBS, "batch", "by").tolist() == ["1", "2"]


def test_a_missing_column_is_answered_with_those_there_are():
    with pytest.raises(ArgumentError) as raised:
        column_of(OBS, "animal", "by")
    assert raised.value.found == "The table has no column 'animal'."
    assert raised.value.needed == "Its columns are: 'cell_type', 'batch'."
    assert raised.value.fix == "Choose one of these."
    assert raised.value.choices == {"by": None}
