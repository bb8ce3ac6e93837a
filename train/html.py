"""Self-contained HTML pages from Jinja2 templates, with the base page and macros that all reports share."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str) -> Environment:
    """The Jinja2 environment of a package's reports.

    A template is looked up in ``<package>/templates``, then in ``train/templates``, which holds ``base.html`` and
    ``macros.html``. Every value is escaped; an undefined variable is an error. The filter ``data_uri(media_type)``
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
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "train"))]),
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


_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --paper: #ffffff; --line: #d8d8de; --soft: #f3f3f6; --warn: #fff1d6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf0; --paper: #17171a; --line: #3a3a42; --soft: #232328; --warn: #4a3510; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.warning { background: var(--warn); border-left: .4rem solid #e09000; padding: .7rem 1rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th { vertical-align: bottom; } td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; opacity: .8; }
figure img { max-width: 100%; height: auto; border-radius: .4rem; background: #ffffff; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.card { background: var(--soft); border-radius: .5rem; padding: .8rem; font-size: .9rem; }
.card img { width: 100%; max-width: 10rem; display: block; margin-bottom: .5rem; }
.card audio { width: 100%; } .card p { margin: .2rem 0; } .files { opacity: .75; font-size: .8rem; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole HTML document.

    Parameters
    ----------
    title : str
    parts : iterable of str
        HTML, of the other functions here.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join([f"<h1>{escape(title)}</h1>", *parts])
        + "\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """The heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def warning(text: str) -> str:
    """A paragraph that nobody is to miss."""
    return f'<p class="warning" role="note">{escape(text[:1].upper() + text[1:])}</p>'


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, numbers to the right; on a narrow screen it scrolls by itself."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def figure(png: bytes, caption: str) -> str:
    """A picture with its caption."""
    return f"<figure>{image(png, caption)}<figcaption>{escape(caption)}</figcaption></figure>"


def image(png: bytes, alternative: str) -> str:
    """A picture, and what it is for who cannot see it."""
    return f'<img src="{_inline("image/png", png)}" alt="{escape(alternative)}">'


def sound(mp3: bytes) -> str:
    """A player."""
    return f'<audio controls preload="none" src="{_inline("audio/mpeg", mp3)}"></audio>'


def cards(contents: Iterable[str]) -> str:
    """Boxes side by side, as many in a row as the screen holds; each takes HTML."""
    boxes = "\n".join(f'<div class="card">{content}</div>' for content in contents)
    return f'<div class="cards">\n{boxes}\n</div>'


def files(paths: Iterable[str]) -> str:
    """Names of files, in small print."""
    return f'<p class="files">{"<br>".join(escape(path) for path in paths)}</p>'


def _inline(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
