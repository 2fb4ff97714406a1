"""The front page of whoever administers and audits nothing: what they can reach, and how."""

import datetime as dt

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.models import Attachment
from authority.models import CertificateAuthority
from authority.services import issue_control
from resources.kinds.base import NOT_SERVED
from sdm.pki import csr
from tests.access.factories import choose, grant, make_role
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource

NOTHING = "Nothing is shared with you yet"


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee")


def shown(client, query=""):
    response = client.get(f"/{query}")
    assert response.status_code == 200
    return response, response.content.decode()


def test_without_a_role_there_is_nothing(alice, charlie_client, cluster):
    make_resource(alice, "orders-db", cluster=cluster)
    _, page = shown(charlie_client)
    assert NOTHING in page
    assert "orders-db" not in page and "sdm login" not in page


def test_what_a_role_opens_with_its_kind_and_its_local_address(alice, charlie, charlie_client, cluster):
    orders = make_resource(alice, "orders-db", cluster=cluster, port_override=10_007)
    detached = make_resource(alice, "detached-db", cluster=None)
    make_resource(alice, "another-db", cluster=cluster)
    choose(make_role(alice, "developers", charlie), orders, detached)
    response, page = shown(charlie_client)
    assert response.context["rows"] == [(orders, None)]
    for words in ("orders-db", "PostgreSQL", "127.0.0.1:10007", "No end set"):
        assert words in page
    for words in (NOTHING, "another-db", "detached-db", orders.hostname):
        assert words not in page
    Attachment.objects.all().delete()
    assert NOTHING in shown(charlie_client)[1]


def test_until_when_what_was_given_for_a_while(alice, charlie, charlie_client, cluster):
    orders, billing = (make_resource(alice, name, cluster=cluster) for name in ("orders-db", "billing-db"))
    end = timezone.now() + dt.timedelta(hours=3)
    grant(alice, charlie, orders, ends=end - dt.timedelta(hours=1))
    grant(alice, charlie, orders, ends=end)
    grant(alice, charlie, billing, ends=end)
    choose(make_role(alice, "developers", charlie), billing)
    response, page = shown(charlie_client)
    assert response.context["rows"] == [(billing, None), (orders, end)]
    assert f'datetime="{end:%Y-%m-%d}' in page


def test_how_to_get_there(alice, charlie, charlie_client, cluster):
    choose(make_role(alice, "developers", charlie), make_resource(alice, "orders-db", cluster=cluster))
    with override_settings(APP_DOMAIN="console.example.com:8001", API_OWN_CERTIFICATE=False):
        _, page = shown(charlie_client)
    assert "export SDM_APP_DOMAIN=console.example.com:8001\nsdm login</pre>" in page
    assert "sdm connect NAME" in page
    assert "SDM_APP_CA_PIN" not in page
    issue_control(csr_pem=csr.new_csr(csr.new_key()), hosts=["console.example.com"])
    with override_settings(APP_DOMAIN="console.example.com:8001", API_OWN_CERTIFICATE=True):
        _, page = shown(charlie_client)
    pin = CertificateAuthority.objects.get(purpose="control").fingerprint
    assert f"export SDM_APP_CA_PIN=sha256:{pin}\nsdm login</pre>" in page


def test_a_kind_that_workers_do_not_speak_has_no_address(alice, charlie, charlie_client, cluster):
    cache = make_resource(alice, "cache", kind="redis", cluster=cluster, port_override=10_009)
    choose(make_role(alice, "developers", charlie), cache)
    _, page = shown(charlie_client)
    assert "workers do not serve this kind yet" in page
    assert "10009" not in page
    assert "do not serve this kind yet" in NOT_SERVED


def test_the_page_is_bounded_and_costs_the_same_for_many(alice, charlie, charlie_client, cluster):
    role = make_role(alice, "developers", charlie)
    choose(role, *(make_resource(alice, f"db-{number:03}", cluster=cluster) for number in range(2)))
    shown(charlie_client)
    with CaptureQueriesContext(
        connection,
    ) as few:
        shown(charlie_client)
    choose(role, *(make_resource(alice, f"db-{number:03}", cluster=cluster) for number in range(2, 60)))
    with CaptureQueriesContext(connection) as many:
        response, page = shown(charlie_client)
    assert len(many) == len(few)
    assert len(response.context["rows"]) == 50
    assert "60 resources" in page
    response, _ = shown(charlie_client, f"?after={response.context['page'].next}")
    assert len(response.context["rows"]) == 10


@pytest.mark.parametrize("query", ["?after=%00", "?after=e30=", "?before=%F0%9F%92%A3", "?after=%ED%A0%80"])
def test_a_cursor_that_makes_no_sense_gives_the_first_page(alice, charlie, charlie_client, cluster, query):
    choose(make_role(alice, "developers", charlie), make_resource(alice, "orders-db", cluster=cluster))
    assert "orders-db" in shown(charlie_client, query)[1]


def test_a_name_is_shown_and_not_run(alice, charlie, charlie_client, cluster):
    hostile = make_resource(alice, "<script>alert(1)</script>", cluster=cluster)
    choose(make_role(alice, "developers", charlie), hostile)
    assert "<script>alert" not in shown(charlie_client)[1]


def test_whoever_looks_at_clusters_is_led_there(alice_client, bob_client, client):
    for led in (alice_client, bob_client):
        assert led.get("/").url == "/networking/proxy-clusters/"
    assert client.get("/").url == "/sign-in/?next=/"
