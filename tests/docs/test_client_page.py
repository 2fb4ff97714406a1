"""docs/client.md lists every field of what scripts read."""

import re

from sdm.client import status
from sdm.client.catalog import Entry
from tests.house.checkout import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text()


def listed(heading: str) -> set[str]:
    """The first column of the table that begins so."""
    rows = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_every_field_of_the_status_is_listed():
    assert listed("field") == status.of_agent(None, {}, (), {}, 1).keys()


def test_every_field_of_a_resource_is_listed():
    entry = Entry("rs-1", "orders", "postgres", "datasource", "keen-coffee", 10_000)
    assert listed("field of a resource") == status.of_resource(entry, None, wanted=False).keys()
