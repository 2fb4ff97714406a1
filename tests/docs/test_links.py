"""Every page, picture, heading and test that the documentation names is there."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, anchors, name_of, prose, section, table
from tests.house.checkout import ROOT

_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
DECISIONS = sorted(ROOT.glob("docs/adr/*.md"))
MAX_PICTURE = 150_000

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@every_page
def test_every_link_leads_somewhere(page: Path):
    for link in (first or second for first, second in _LINK.findall(prose(page))):
        if re.match(r"[a-z]+:", link):
            continue  # another site
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} is not there"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_pictures_are_small_and_used():
    text = "".join(prose(page) for page in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < MAX_PICTURE, picture.name
        assert f"images/{picture.name}" in text, f"{picture.name} is on no page"


def test_every_page_can_be_found_from_the_readme():
    found, left = set(), {ROOT / "README.md"}
    while left:
        page = left.pop()
        found.add(page)
        links = (first for first, _ in _LINK.findall(prose(page)))
        paths = {(page.parent / link.partition("#")[0]).resolve() for link in links}
        left |= {path for path in paths if path.suffix == ".md"} - found
    assert found >= set(PAGES)


@every_page
def test_every_test_that_a_page_names_exists(page: Path):
    for file, name in _TEST.findall(prose(page)):
        assert name in _tests_in(ROOT / file), f"{file} has no {name}"


def test_each_attack_of_the_threat_model_has_a_proof():
    for row in table(section(ROOT / "docs" / "threat-model.md", "Attack, defence, proof"), "attack"):
        assert _TEST.findall(row["proof"]), row["attack"]


@cache
def _tests_in(file: Path) -> set[str]:
    assert file.exists(), f"{file} is not there"
    return set(_names(ast.parse(file.read_text(encoding="utf-8")).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            yield prefix + statement.name
        elif isinstance(statement, ast.ClassDef):
            yield from _names(statement.body, f"{prefix}{statement.name}::")


def test_decisions_are_numbered_without_a_gap():
    assert [path.name[:4] for path in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]


@pytest.mark.parametrize("decision", DECISIONS, ids=name_of)
def test_a_decision_says_why_what_and_what_follows_on_one_screen(decision: Path):
    text = decision.read_text(encoding="utf-8")
    assert text.startswith(f"# {decision.name[:4]}: ")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert 20 <= text.count("\n") <= 40
