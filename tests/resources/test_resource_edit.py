import pytest

from accounts.policy import Level
from audit.models import Activity
from resources.models import Resource
from tests.clusters.factories import make_cluster
from tests.conftest import sign_in
from tests.people import make_account
from tests.resources.factories import make_resource, recorded, sent, store_secret, stored_secret

CONFIG = {
    "database": "orders",
    "override_database": True,
    "log_parameters": False,
    "allow_replication": False,
    "tls_required": True,
    "tls_insecure": False,
    "certificate_authority": "",
}


@pytest.fixture
def resource(alice):
    return make_resource(alice, "orders", config=CONFIG, tags={"Team": "data"}, healthy=True)


def url(resource):
    return f"/resources/{resource.pk}/edit/"


def unchanged(resource, **changed):
    data = sent(version=resource.version, tags_key=["Team"], tags_value=["data"])
    del data["password"]
    return data | changed


def test_the_form_shows_what_is_there_and_asks_for_no_secret(alice_client, resource):
    page = alice_client.get(url(resource)).content.decode()
    for text in ('value="orders"', 'value="db.internal"', 'value="Team"'):
        assert text in page
    assert 'type="password"' not in page


def test_saving_changes_and_records_only_what_differs(alice_client, resource):
    alice_client.post(url(resource), unchanged(resource, database="billing", tags_value=["ops"]))
    changed = Resource.objects.get()
    assert (changed.config["database"], changed.version) == ("billing", 2)
    activity = Activity.objects.get(verb="resource updated")
    assert activity.before == {"database": "orders", "tags": {"Team": "data"}}
    assert activity.after == {"database": "billing", "tags": {"Team": "ops"}}


def test_saving_without_a_difference_changes_and_records_nothing(alice_client, resource):
    response = alice_client.post(url(resource), unchanged(resource), follow=True)
    assert "nothing was changed" in response.content.decode()
    assert Resource.objects.get().version == 1
    assert not Activity.objects.filter(verb="resource updated").exists()


def test_a_new_place_forgets_the_last_check(alice_client, resource):
    alice_client.post(url(resource), unchanged(resource, name="renamed"))
    assert Resource.objects.get().healthy is True
    resource.refresh_from_db()
    alice_client.post(url(resource), unchanged(resource, name="renamed", hostname="other.internal"))
    assert Resource.objects.get().healthy is None


def test_the_later_of_two_administrators_is_told_what_changed(alice_client, resource):
    dora_client = sign_in(make_account("Dora", Level.ADMIN))
    dora_client.post(url(resource), unchanged(resource, database="dora-was-here"))
    response = alice_client.post(url(resource), unchanged(resource, database="alice-was-here"))
    page = response.content.decode()
    assert response.status_code == 409
    for text in ("dora@example.com", "dora-was-here", 'value="alice-was-here"'):
        assert text in page
    assert Resource.objects.get().config["database"] == "dora-was-here"
    # The form is ready to be sent over it.
    again = unchanged(resource, database="alice-was-here") | {"version": 2}
    assert 'name="version" value="2"' in page
    alice_client.post(url(resource), again)
    assert Resource.objects.get().config["database"] == "alice-was-here"


@pytest.mark.parametrize("version", ["", "0", "99", "-1", "x", str(2**31)])
def test_a_version_that_makes_no_sense_overwrites_nothing(alice_client, resource, version):
    response = alice_client.post(url(resource), unchanged(resource, database="new") | {"version": version})
    assert response.status_code in (409, 422)
    assert Resource.objects.get().config["database"] == "orders"


def test_moving_to_another_cluster_and_to_none(alice_client, resource):
    make_cluster("keen-coffee")
    alice_client.post(url(resource), unchanged(resource, cluster="keen-coffee"))
    before, after = recorded("resource updated")
    assert (before["proxy cluster"], after["proxy cluster"]) == (None, "keen-coffee")
    resource.refresh_from_db()
    assert resource.cluster is not None
    alice_client.post(url(resource), unchanged(resource, cluster=""))
    assert Resource.objects.get().cluster is None


@pytest.mark.parametrize(
    "change",
    [
        {"hostname": "evil.example"},
        {"port": "5433"},
        {"tls_insecure": "on"},
        {"username": "other"},
        {"tls_required": ""},
    ],
)
def test_sending_stored_secrets_elsewhere_needs_a_fresh_sign_in(alice, resource, change):
    store_secret(resource, "pg-secret")
    client = sign_in(alice, confirmed=False)
    response = client.post(url(resource), unchanged(resource, **change))
    page = response.content.decode()
    assert response.status_code == 422 and "Confirm that it is you" in page
    assert Resource.objects.get().version == 1
    for value in change.values():
        assert f'value="{value}"' in page or value in ("on", "")
    assert client.post(url(resource), unchanged(resource, name="renamed")).status_code == 302
    resource.refresh_from_db()
    data = unchanged(resource, name="renamed", **change)
    assert sign_in(alice).post(url(resource), data).status_code == 302
    assert Resource.objects.get().version == 3


def test_editing_keeps_the_credentials(alice_client, resource):
    store_secret(resource, "pg-secret")
    alice_client.post(url(resource), unchanged(resource, name="renamed", password="smuggled"))
    assert stored_secret(Resource.objects.get()) == "pg-secret"


def test_long_values_are_recorded_by_their_digest(alice_client, alice):
    site = make_resource(
        alice, "wiki", kind="httpNoAuth", hostname="wiki.internal", port=443, username="", config={}
    )
    headers = "\n".join(f"X-Header-{number}: value" for number in range(50))
    alice_client.post(url(site), sent("httpNoAuth", name="wiki", version=1, custom_headers=headers))
    assert Resource.objects.get().config["custom_headers"] == headers
    assert "SHA-256" in recorded("resource updated")[1]["custom_headers"]
