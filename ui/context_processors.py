"""What the frame around every page needs."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    url_name: str
    # Pages below this path belong to this entry.
    prefix: str
    permission: str


# A heading appears when its pages exist and the person may see one of them.
NAVIGATION: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    ("Networking", (Entry("Proxy Clusters", "clusters:cluster-list", "/networking/", "clusters.view"),)),
    ("Resources", (Entry("All resources", "resources:resource-list", "/resources/", "resources.view"),)),
    (
        "Access",
        (
            Entry("Roles", "access:role-list", "/access/roles/", "access.view"),
            Entry("Temporary access", "access:grant-list", "/access/grants/", "access.view"),
        ),
    ),
    (
        "Audit",
        (
            Entry("Activities", "audit:activity-list", "/audit/activities/", "audit.view"),
            Entry("Sessions", "audit:session-list", "/audit/sessions/", "audit.view"),
            Entry("Queries", "audit:query-list", "/audit/queries/", "audit.view"),
        ),
    ),
    (
        "Settings",
        (
            Entry("People", "accounts:account-list", "/settings/people/", "accounts.view"),
            Entry(
                "Service accounts",
                "accounts:service-account-list",
                "/settings/service-accounts/",
                "accounts.view",
            ),
            Entry("Certificates", "authority:authority-list", "/settings/certificates/", "authority.view"),
        ),
    ),
)


# Every page loads all of them: together they are smaller than one picture, and cached for good.
STYLESHEETS = tuple(
    f"css/{name}.css"
    for name in (
        "tokens",
        "base",
        "layout",
        "forms",
        "components",
        "table",
        "dialog",
        "search",
        "audit",
        "resources",
        "access",
    )
)


def stylesheets(request: HttpRequest) -> dict[str, Any]:
    return {"stylesheets": STYLESHEETS}


class ShownEntry(NamedTuple):
    label: str
    url_name: str
    is_current: bool


class Heading(NamedTuple):
    label: str
    entries: tuple[ShownEntry, ...]


def navigation(request: HttpRequest) -> dict[str, Any]:
    """`navigation`: the headings this person sees, each with its entries and whether they are current."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"navigation": ()}
    headings = (
        Heading(
            label,
            tuple(
                ShownEntry(entry.label, entry.url_name, request.path.startswith(entry.prefix))
                for entry in entries
                if user.has_perm(entry.permission)
            ),
        )
        for label, entries in NAVIGATION
    )
    return {"navigation": tuple(heading for heading in headings if heading.entries)}
