"""Sphinx configuration."""

from importlib.metadata import version as installed_version

project = "jaxhsi"
author = "the jaxhsi contributors"
release = installed_version("jaxhsi")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
myst_heading_anchors = 3
autodoc_typehints = "none"  # shapes are in the docstrings; jaxtyping's strings are no references
napoleon_google_docstring = True
napoleon_use_ivar = True
default_role = "code"  # docstrings are written in Markdown's way
