import pytest

from accounts.reauthentication import reauthenticate_url
from audit.models import Activity
from resources.models import Credential, Resource
from tests.conftest import sign_in
from tests.resources.factories import make_resource, private_key, store_secret, stored_secret


@pytest.fixture
def resource(alice):
    resource = make_resource(alice, "orders", healthy=True)
    store_secret(resource, "the-old-secret")
    return resource


def url(resource, field="password"):
    return f"/resources/{resource.pk}/credentials/{field}/"


def test_replacing(alice, alice_client, resource):
    response = alice_client.post(url(resource), {"secret": "the-new-secret"}, follow=True)
    assert "Password replaced" in response.content.decode()
    assert stored_secret(resource) == "the-new-secret"
    credential = Credential.objects.get()
    assert (credential.set_by, credential.key_id) == (alice, "test")
    assert Resource.objects.get().healthy is None, "the last check was made with another"
    activity = Activity.objects.get(verb="resource credential replaced")
    assert (activity.entity_id, activity.after) == (resource.pk, {"credential": "password"})


def test_the_page_tells_when_and_by_whom_and_never_what(alice_client, resource):
    for page in (f"/resources/{resource.pk}/", url(resource)):
        text = alice_client.get(page).content.decode()
        assert "by Alice" in text and "the-old-secret" not in text


def test_opening_the_page_after_a_while_leads_to_confirming_and_back(alice, resource):
    response = sign_in(alice, confirmed=False).get(url(resource))
    assert response.status_code == 302
    assert response.headers["Location"] == reauthenticate_url(url(resource))


@pytest.mark.parametrize("htmx", [True, False])
def test_a_form_that_was_open_too_long_changes_nothing_and_keeps_no_secret(alice, resource, htmx):
    client = sign_in(alice, confirmed=False)
    headers = {"HX-Request": "true"} if htmx else {}
    response = client.post(url(resource), {"secret": "typed-too-late"}, headers=headers)
    location = response.headers["HX-Redirect" if htmx else "Location"]
    assert location == reauthenticate_url(url(resource))
    assert stored_secret(resource) == "the-old-secret"
    assert "typed-too-late" not in str(dict(client.session)) + str(client.cookies) + str(response.headers)
    assert not Activity.objects.filter(verb="resource credential replaced").exists()


@pytest.mark.parametrize("secret", ["", "x" * 4097, "a\0b"])
def test_what_cannot_be_a_password_is_refused_and_not_shown(alice_client, resource, secret):
    response = alice_client.post(url(resource), {"secret": secret})
    assert response.status_code == 422
    assert "x" * 100 not in response.content.decode()
    assert stored_secret(resource) == "the-old-secret"


def test_a_private_key_is_checked_as_when_it_was_added(alice, alice_client):
    server = make_resource(alice, "jump", kind="sshCustomerKey")
    page = alice_client.post(url(server, "private_key"), {"secret": "ssh-ed25519 AAAAC3 me"}).content.decode()
    assert "public half" in page and "AAAAC3" not in page
    text = private_key()
    alice_client.post(url(server, "private_key"), {"secret": text.replace("\n", "\r\n")})
    assert stored_secret(server, "private_key") == text


def test_only_a_secret_that_the_server_can_do_without_can_be_removed(alice, alice_client, resource):
    assert "remove" not in alice_client.get(url(resource)).context["form"].fields
    assert alice_client.post(url(resource), {"secret": "", "remove": "on"}).status_code == 422
    assert stored_secret(resource) == "the-old-secret"

    cache = make_resource(alice, "cache", kind="redis")
    assert "remove" not in alice_client.get(url(cache)).context["form"].fields, "there is nothing to remove"
    store_secret(cache, "redis-secret")
    assert alice_client.post(url(cache), {"secret": ""}).status_code == 422, (
        "empty by mistake removes nothing"
    )
    assert alice_client.post(url(cache), {"secret": "x", "remove": "on"}).status_code == 422
    assert stored_secret(cache) == "redis-secret"
    assert alice_client.post(url(cache), {"secret": "", "remove": "on"}).status_code == 302
    assert not cache.credentials.exists()
    activity = Activity.objects.get(verb="resource credential replaced")
    assert (activity.before, activity.after) == ({"credential": "password"}, {"credential": None})


@pytest.mark.parametrize("field", ["hostname", "private_key", "sealed", "__class__", "x" * 300])
def test_only_fields_that_are_secrets_of_the_kind_exist(alice_client, resource, field):
    assert alice_client.get(url(resource, field)).status_code == 404
    assert alice_client.post(url(resource, field), {"secret": "x"}).status_code == 404


def test_a_resource_that_was_deleted_meanwhile_is_not_found(alice_client, resource, monkeypatch):
    monkeypatch.setattr(
        "resources.views.credentials.recently_authenticated", lambda request: bool(_delete(resource))
    )
    assert alice_client.post(url(resource), {"secret": "x"}).status_code == 404
    assert not Credential.objects.exists()


def _delete(resource):
    Resource.objects.filter(pk=resource.pk).delete()
    return True


def test_an_edit_that_was_open_is_told(alice_client, resource):
    alice_client.post(url(resource), {"secret": "new"})
    assert Resource.objects.get().version == 2


def test_the_browser_keeps_no_copy_of_the_pages(alice_client, resource):
    for response in (alice_client.get(url(resource)), alice_client.post(url(resource), {"secret": ""})):
        assert "no-store" in response.headers["Cache-Control"]
