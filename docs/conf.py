"""The documentation site: `make docs` writes it to build/site."""

from importlib.metadata import version as version_of

project = "Pilaster"
author = "The Pilaster developers"
version = release = version_of("pilaster")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxarg.ext"]
html_theme = "furo"
html_title = "Pilaster"

myst_heading_anchors = 4
autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_typehints = "signature"
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # a word of a description that several classes have as a name
python_use_unqualified_type_names = True
