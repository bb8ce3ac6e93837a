"""Self-contained HTML pages from Jinja2 templates, with the base page and macros that all reports share."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str) -> Environment:
    """The Jinja2 environment of a package's reports.

    A template is looked up in ``<package>/templates``, then in ``edge_runtime/templates``, which holds ``base.html``
    and ``macros.html``. Every value is escaped; an undefined variable is an error. The filter ``data_uri(media_type)``
    embeds bytes in the page.

    Parameters
    ----------
    package : str
        Import name of a package with a folder ``templates``.

    Returns
    -------
    environment : jinja2.Environment

    See Also
    --------
    render : renders one of its templates
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "edge_runtime"))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment


def render(package: str, template: str, **context: Any) -> str:
    """Render a template of a package as one HTML document.

    Parameters
    ----------
    package : str
        As for :func:`environment`.
    template : str
        File name, such as ``report.html``. It extends ``base.html`` and fills its block ``body``.
    **context
        Variables of the template; ``base.html`` needs ``title``.

    Returns
    -------
    document : str

    Examples
    --------
    >>> render("train", "base.html", title="R&B").count("<h1>R&amp;B</h1>")
    1
    """
    return environment(package).get_template(template).render(**context)


def _data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"
