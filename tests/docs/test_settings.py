"""The table of settings is the code's: every variable that is read, with its default, and no other."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.docs.pages import section, table
from tests.house.checkout import ROOT

OPERATIONS = ROOT / "docs" / "operations.md"
_OURS = re.compile(r"(CONSOLE|DEV)_[A-Z_]+|DATABASE_URL")


class Read(NamedTuple):
    """One call that reads a variable: `env.integer("CONSOLE_WORKERS", …)`."""

    name: str
    reader: str
    # What follows the name, where it is written out.
    default: object


def _reads() -> Iterator[Read]:
    for path in [*ROOT.glob("console/**/*.py"), ROOT / "dev"]:
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        for call in calls:
            name = _value(call.args[0]) if call.args else None
            if isinstance(name, str) and _OURS.fullmatch(name):
                reader = call.func.attr if isinstance(call.func, ast.Attribute) else ""
                yield Read(name, reader, _value(call.args[1]) if len(call.args) > 1 else None)


def _value(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


READS = [read for read in _reads() if read.reader in ("text", "integer", "choice", "origin", "secret", "get")]
ROWS = {row["name"].strip("`"): row for row in table(section(OPERATIONS, "Settings"), "name")}


def test_every_setting_has_a_row_and_every_row_a_setting():
    names = {read.name for read in READS}
    files = {f"{read.name}_FILE" for read in READS if read.reader == "secret"}
    assert set(ROWS) == names | files


def test_no_variable_is_read_that_these_tests_do_not_see():
    for path in [*ROOT.glob("console/**/*.py"), ROOT / "dev", ROOT / "manage.py"]:
        strings = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        for string in strings:
            if isinstance(string.value, str) and _OURS.fullmatch(string.value):
                assert string.value in ROWS, f"{path.name} names {string.value}"


@pytest.mark.parametrize(
    "read", [read for read in READS if read.default is not None], ids=lambda read: read.name
)
def test_its_default_is_the_one_that_is_said(read: Read):
    default = read.default[0] if isinstance(read.default, tuple) else read.default
    # The address that others are told falls back to where the console listens.
    if read.name != "CONSOLE_URL":
        assert ROWS[read.name]["default"] == f"`{default}`"


@pytest.mark.parametrize(
    "read", [read for read in READS if read.reader == "choice"], ids=lambda read: read.name
)
def test_every_choice_is_named(read: Read):
    assert isinstance(read.default, tuple)
    for choice in read.default:
        assert f"`{choice}`" in ROWS[read.name]["meaning"]
