"""The table of levels says what the policy allows, all of it and nothing else."""

from accounts import policy
from accounts.policy import Level
from tests.docs.pages import section, table
from tests.house.checkout import ROOT

ROWS = table(section(ROOT / "docs" / "console.md", "Levels"), "may")


def test_every_permission_has_a_row():
    permissions = [row["permission"].strip("`") for row in ROWS]
    assert len(permissions) == len(set(permissions))
    assert set(permissions) == policy.VIEW_PERMISSIONS | policy.CHANGE_PERMISSIONS


def test_every_level_has_a_column_that_says_what_it_may():
    assert set(ROWS[0]) == {"may", "permission", *Level.labels}
    for row in ROWS:
        for level in Level:
            allowed = policy.allows(level, row["permission"].strip("`"), active=True)
            assert row[level.label] == ("yes" if allowed else "no"), (row["permission"], level)
