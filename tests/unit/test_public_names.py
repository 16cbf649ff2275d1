from __future__ import annotations

import pkgutil

import pytest

import tagscope
from tagscope import api


def test_every_public_name_is_there():
    assert all(getattr(tagscope, name) is getattr(api, name) for name in api.__all__)
    assert set(api.__all__) <= set(dir(tagscope))


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="embed_nothing"):
        tagscope.embed_nothing  # noqa: B018 - looking is the test


def test_no_module_takes_the_place_of_a_verb():
    modules = {module.name for module in pkgutil.iter_modules(api.__path__)}
    assert modules
    assert modules.isdisjoint(api.__all__)
