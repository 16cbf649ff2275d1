"""Sphinx settings: ``python -m sphinx docs out/docs``."""

from importlib.metadata import version as installed_version

project = "TAGscope"
author = "the TAGscope authors"
release = installed_version("tagscope")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "fieldlist"]
autodoc_typehints = "description"
html_theme = "furo"
html_title = f"TAGscope {release}"
