"""What holds for every page: who is let in, what is refused, and that nothing breaks it."""

from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from access.models import Attachment, Grant, Role, Rule
from accounts.models import Account
from audit.models import Activity, Session
from authority.models import Certificate, CertificateAuthority
from clusters.models import Cluster
from keys.models import ClusterKey
from resources.models import Credential, Resource
from tests.conftest import sign_in
from tests.every.forms import HOSTILE, forms_in
from tests.every.routes import all_routes

ROUTES = all_routes()
# All that a stranger reaches. A route that is added here is a decision.
PUBLIC = {
    "accounts:setup",
    "accounts:invitation-accept",
    "accounts:password-set",
    "accounts:password-forgotten",
    "account_login",
    "account_inactive",
    "account_logout",
    "mfa_login_webauthn",
    "mfa_authenticate",
}
EXPORTS = {"audit:activity-export", "audit:session-export", "audit:query-export"}
INFRASTRUCTURE = (
    "networking/",
    "resources/",
    "access/",
    "audit/",
    "settings/people/",
    "settings/service-accounts/",
    "settings/certificates/",
)


def everything():
    return [
        *(Account.objects.order_by("pk").values()),
        *(Cluster.objects.order_by("pk").values()),
        *(ClusterKey.objects.order_by("pk").values()),
        *(Resource.objects.order_by("pk").values()),
        *(Credential.objects.order_by("pk").values()),
        *(Role.objects.order_by("pk").values()),
        *(Rule.objects.order_by("pk").values()),
        *(Attachment.objects.order_by("pk").values()),
        *(Grant.objects.order_by("pk").values()),
        *(Session.objects.order_by("pk").values()),
        *(CertificateAuthority.objects.order_by("pk").values()),
        *(Certificate.objects.order_by("pk").values()),
    ]


def by_name(route):
    return route.name or route.pattern


@pytest.fixture
def csrf_client(alice):
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(alice).cookies
    return client


@pytest.mark.parametrize("route", ROUTES, ids=by_name)
def test_a_stranger_is_sent_to_sign_in(client, ids, route):
    before = everything()
    for method in (client.get, client.post):
        response = method(route.url(ids))
        if route.name in PUBLIC:
            assert response.status_code in (200, 302, 404, 405)
        else:
            assert response.status_code == 302
            assert response.headers["Location"].startswith(reverse("account_login"))
    assert everything() == before


@pytest.mark.parametrize("route", [r for r in ROUTES if r.pattern.startswith(INFRASTRUCTURE)], ids=by_name)
def test_a_user_sees_no_infrastructure(charlie_client, ids, route):
    before = everything()
    for method in (charlie_client.get, charlie_client.post):
        assert method(route.url(ids)).status_code in (403, 405)
    assert everything() == before


@pytest.mark.parametrize("route", [r for r in ROUTES if r.pattern.startswith(INFRASTRUCTURE)], ids=by_name)
def test_an_auditor_changes_nothing(bob_client, ids, route):
    before = everything()
    response = bob_client.post(route.url(ids), {"name": "keen-coffee", "version": "1", "format": "csv"})
    # Taking a copy of what one may see is recorded, and so it is sent as a form.
    allowed = (200,) if route.name in EXPORTS else (403, 405)
    assert response.status_code in allowed
    assert everything() == before


@pytest.mark.parametrize("route", ROUTES, ids=by_name)
def test_what_was_not_sent_from_our_pages_is_refused(csrf_client, ids, route):
    before, activities = everything(), Activity.objects.filter(outcome="done").count()
    for method in (csrf_client.post, csrf_client.put, csrf_client.patch, csrf_client.delete):
        assert method(route.url(ids), {"name": "keen-coffee"}).status_code == 403
    assert everything() == before
    assert Activity.objects.filter(outcome="done").count() == activities


@pytest.mark.parametrize("route", [r for r in ROUTES if r.parameters], ids=by_name)
def test_an_id_that_is_none_is_not_found(alice_client, ids, route):
    for hostile in HOSTILE.values():
        for parameter in route.parameters:
            url = route.url({**ids, parameter: quote(hostile[:20_000], safe="") or "-"})
            for method in (alice_client.get, alice_client.post):
                assert method(url).status_code in (404, 405)


QUERY = [
    "q",
    "sort",
    "after",
    "before",
    "cursor",
    "cluster",
    "next",
    "actor",
    "verb",
    "entity",
    "entity_type",
    "outcome",
    "since",
    "until",
    "person",
    "resource",
    "text",
    "sha256",
    "state",
    "kind",
    "person",
    "resource",
    "role",
]  # words


@pytest.mark.parametrize("route", ROUTES, ids=by_name)
def test_any_query_gives_a_page(alice_client, ids, route):
    for hostile in HOSTILE.values():
        response = alice_client.get(route.url(ids), dict.fromkeys(QUERY, hostile[:20_000]))
        assert response.status_code < 500
        if not response.streaming:
            assert b"<script>alert(1)" not in response.content


@pytest.mark.parametrize("route", ROUTES, ids=by_name)
def test_any_form_takes_anything_without_breaking(alice, ids, route):
    for hostile in HOSTILE.values():
        client = sign_in(alice)
        page = client.get(route.url(ids))
        if (
            page.status_code != 200
            or page.streaming
            or not page.headers["Content-Type"].startswith("text/html")
        ):
            return
        for form in forms_in(page.content.decode(), route.url(ids)):
            response = client.post(form.action, dict.fromkeys(form.names, hostile))
            assert response.status_code < 500, form
            assert response.streaming or b"<script>alert(1)" not in response.content
            # Whoever signed out with one form goes on with the next.
            client.force_login(alice)
