"""Configuration of the documentation: ``make docs`` builds it with Sphinx, MyST and furo."""

from importlib import metadata

project = "tmgc"
author = "the tmgc authors"
release = version = metadata.version("tmgc")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # NumPy and the standard library are documented elsewhere, and no build needs a network.
    (r"py:.*", r"(numpy|np|pathlib|datetime|collections|abc|types|typing|Mapping|Iterator|Callable|Path)(\..*)?"),
]

html_theme = "furo"
html_title = f"tmgc {release}"
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

# `make linkcheck` needs a network; the addresses of badges and of this repository exist only once it is published.
linkcheck_anchors = False
linkcheck_timeout = 20
