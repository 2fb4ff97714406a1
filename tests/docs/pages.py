"""The pages for people, as their tests read them: tables, fenced blocks, links and headings."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.checkout import ROOT

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    return ((block[1], block[2]) for block in _FENCED.finditer(page.read_text(encoding="utf-8")))


def code_spans(text: str) -> list[str]:
    return _CODE.findall(text)


def section(page: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of its kind."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^\1 |\Z)", prose(page), re.MULTILINE | re.DOTALL)
    assert found, f"{name_of(page)} has no section “{heading}”"
    return found[2]


def table(text: str, first: str) -> list[dict[str, str]]:
    """The rows, by column, of the table whose first column is headed `first`."""
    lines = iter(text.splitlines())
    heads = next(cells for line in lines if (cells := _cells(line))[:1] == [first])
    next(lines)  # the line of hyphens
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(heads, _cells(line), strict=True)))
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def anchors(page: Path) -> set[str]:
    """The names that links to this page's headings use, as GitHub makes them."""
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in _HEADING.findall(prose(page)))
    return {heading.strip().replace(" ", "-") for heading in plain}
