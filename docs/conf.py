"""Configuration of the documentation: ``make docs`` builds it with Sphinx, MyST and furo."""

from importlib import metadata
from typing import Any

project = "tmgc"
author = "the tmgc authors"
release = version = metadata.version("tmgc")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
exclude_patterns = ["_build"]
nitpick_ignore_regex = [
    # Docstrings name constants and functions of modules that are no part of the public API.
    (r"py:(data|func|mod)", r".*"),
    (r"py:obj", r"librosa\..*"),
    # Types in an Attributes section, such as "tuple of str or None".
    (r"py:class", r"(Path|bool|bytes|dict|float|int|list|str|tuple|np\.\w+)\b.*"),
]

html_theme = "furo"
html_title = f"tmgc {release}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False

linkcheck_timeout = 20


def _keep_colons(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Napoleon takes what stands before a colon in the first line of an attribute's docstring for its type."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _keep_colons, priority=400)
