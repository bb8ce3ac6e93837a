"""The Markdown pages of the project, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

READMES = [ROOT / "README.md", ROOT / "README.tr.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def code_blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page; of these languages where some are named."""
    return [code for language, code in _BLOCK.findall(text_of(page)) if not languages or language in languages]


def prose_of(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_of(page))


def links(page: Path) -> list[str]:
    """The targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose_of(page)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and MyST give a page's headings."""
    headings = re.findall(r"^#+ +(.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def tables(page: Path) -> list[list[list[str]]]:
    """The tables of a page as rows of cells, without the line below their headings."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", prose_of(page) + "\n", re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append([rows[0], *rows[2:]])
    return found
