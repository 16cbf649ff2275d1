"""Where tests find data: the shared folder of real sections, and the simulated sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import tagscope  # noqa: F401 - sets how torch's threads wait, before a test imports torch

PROJECT = Path(__file__).resolve().parents[1]


def _shared_folder() -> Path:
    return Path(os.environ.get("TAGSCOPE_SHARED", PROJECT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and parity numbers; tests that need it skip where it is missing."""
    folder = _shared_folder()
    if not (folder / "data").is_dir():
        pytest.skip(f"real data not found at {folder}; set TAGSCOPE_SHARED")
    return folder


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The simulated sample: section.zarr, reference.h5ad, truth.json."""
    return PROJECT / "sample_data"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Drawn tiles go into a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TAGSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
