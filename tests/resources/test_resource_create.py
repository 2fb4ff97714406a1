import pytest

from audit.models import Activity
from audit.services import PermissionRequired
from clusters.models import Cluster
from resources import services
from resources.kinds import KINDS
from resources.models import Credential, Resource
from tests.clusters.factories import make_cluster
from tests.conftest import sign_in
from tests.resources.factories import PARTS, make_resource, recorded, sent, stored_secret


def new_url(kind="postgres"):
    return f"/resources/new/{kind}/"


def errors(response, name):
    form = response.context["form"]
    return " ".join((form.part if name in form.part.fields else form).errors.get(name, []))


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_of_each_kind_is_added_with_its_secrets_sealed(alice, alice_client, kind):
    cluster = make_cluster("keen-coffee")
    data = sent(kind, cluster="keen-coffee", tags_key=["Team"], tags_value=["data"])
    response = alice_client.post(new_url(kind), data, follow=True)
    resource = Resource.objects.get()
    assert response.redirect_chain[-1][0] == f"/resources/{resource.pk}/"
    assert (resource.kind, resource.cluster, resource.created_by) == (kind, cluster, alice)
    assert resource.config.keys() == KINDS[kind].config_fields.keys()
    assert [str(tag) for tag in resource.tags.all()] == ["Team=data"]
    for name in KINDS[kind].secret_fields:
        expected = PARTS[kind][name]
        assert stored_secret(resource, name) == expected
        assert expected.encode() not in bytes(resource.credentials.get(field=name).sealed)
    _, after = recorded("resource created")
    assert (after["type"], after["proxy cluster"]) == (kind, "keen-coffee")
    assert after.get("credentials", []) == sorted(KINDS[kind].secret_fields)


def test_adding_needs_no_fresh_sign_in(alice):
    assert sign_in(alice, confirmed=False).post(new_url(), sent()).status_code == 302


def test_an_optional_secret_that_is_left_empty_is_not_stored(alice_client, db):
    alice_client.post(new_url("redis"), sent("redis", password=""))
    assert Resource.objects.count() == 1
    assert not Credential.objects.exists()


def test_the_cluster_of_the_tab_is_chosen_already(alice_client, db):
    cluster = make_cluster("keen-coffee")
    kinds = alice_client.get(f"/resources/new/?cluster={cluster.pk}").content.decode()
    assert f"/resources/new/postgres/?cluster={cluster.pk}" in kinds
    page = alice_client.get(f"/resources/new/postgres/?cluster={cluster.pk}").content.decode()
    assert 'value="keen-coffee"' in page
    for stale in ("n-0000000000000000", "\0", "x" * 5000, "<b>"):
        assert alice_client.get("/resources/new/", {"cluster": stale}).status_code == 200


def test_a_cluster_is_taken_by_its_name_in_any_case_or_its_id(alice_client, db):
    cluster = make_cluster("keen-coffee")
    for number, typed in enumerate((" Keen-Coffee ", cluster.pk)):
        alice_client.post(new_url(), sent(name=f"r{number}", cluster=typed))
    assert cluster.resources.count() == 2


def test_a_name_that_no_cluster_has_gets_the_nearest(alice_client, db):
    for name in ("keen-coffee", "calm-tea"):
        make_cluster(name)
    for typed in ("keen-cofee", "coffee", "ken-coffee"):
        response = alice_client.post(new_url(), sent(cluster=typed))
        assert response.status_code == 422
        assert "Did you mean keen-coffee?" in errors(response, "cluster")
    assert "Check the spelling" in errors(alice_client.post(new_url(), sent(cluster="zzz")), "cluster")


def test_what_was_typed_stays_and_secrets_do_not(alice_client, db):
    response = alice_client.post(
        new_url(), sent(port="0", name="a-name", tags_key=["Team"], tags_value=["data"])
    )
    page = response.content.decode()
    assert response.status_code == 422
    assert "from 1 to 65535" in errors(response, "port")
    for kept in ("a-name", "db.internal", 'value="Team"', 'value="data"'):
        assert kept in page
    assert "pg-secret" not in page
    assert "Enter them again" in page
    assert not Resource.objects.exists() and not Activity.objects.filter(verb="resource created").exists()


@pytest.mark.parametrize(
    "port", ["65536", "-5432", "5432.0", "5_432", "+5432", "0x50", "٥٤٣٢", "54 32", "9" * 5_000]
)
def test_a_port_is_written_as_in_an_address(alice_client, db, port):
    response = alice_client.post(new_url(), sent(port=port))
    assert response.status_code == 422
    assert "from 1 to 65535" in errors(response, "port")
    assert not Resource.objects.exists()


def test_all_errors_are_shown_at_once(alice_client, db):
    response = alice_client.post(new_url(), {})
    for name in ("name", "hostname", "port", "username", "password", "database"):
        assert errors(response, name), name


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "fe80::1", "0.0.0.0", "2852039166", "224.0.0.1", "a b", "http://x"]
)
def test_a_host_that_cannot_be_is_refused_beside_its_field(alice_client, db, host):
    response = alice_client.post(new_url(), sent(hostname=host))
    assert response.status_code == 422 and errors(response, "hostname").endswith(".")


def test_the_worker_s_own_machine_is_allowed_and_explained(alice_client, db):
    assert "worker's own machine" in alice_client.get(new_url()).content.decode().replace("&#x27;", "'")
    assert alice_client.post(new_url(), sent(hostname="127.0.0.1")).status_code == 302


def test_a_name_is_taken_once_whatever_its_case(alice, alice_client):
    make_resource(alice, "Orders")
    response = alice_client.post(new_url(), sent(name="ORDERS"))
    assert "Another resource has this name" in errors(response, "name")


def test_a_name_that_was_taken_meanwhile_is_an_error_beside_it(alice, alice_client, monkeypatch):
    make_resource(alice, "orders")
    monkeypatch.setattr("resources.forms.is_name_taken", lambda name, but=None: False)
    response = alice_client.post(new_url(), sent())
    assert response.status_code == 422 and "Another resource" in errors(response, "name")
    assert Resource.objects.count() == 1 and not Credential.objects.exists()


def test_a_cluster_that_was_deleted_meanwhile_is_an_error_beside_it(alice_client, db, monkeypatch):
    gone = Cluster(name="gone")
    monkeypatch.setattr("resources.forms.cluster_named", lambda text: gone)
    response = alice_client.post(new_url(), sent(cluster="gone"))
    assert response.status_code == 422 and "deleted meanwhile" in errors(response, "cluster")
    assert not Resource.objects.exists()


@pytest.mark.parametrize("name", ["a\0b", "a‮b", "a\nb", "​", "x" * 129, " "])
def test_names_with_invisible_characters_are_refused(alice_client, db, name):
    assert alice_client.post(new_url(), sent(name=name)).status_code == 422


@pytest.mark.parametrize("name", ["😀", "Größe", "名前", "<b>x</b>", "a'b\"c", "=1+1"])
def test_other_names_are_names(alice_client, db, name):
    assert alice_client.post(new_url(), sent(name=name)).status_code == 302
    assert Resource.objects.get().name == name


def test_fields_that_no_form_has_are_ignored(alice_client, alice, db):
    smuggled = {
        "id": "rs-1111111111111111",
        "kind": "mysql",
        "healthy": "on",
        "version": "7",
        "created_by": "x",
    }
    alice_client.post(new_url(), sent() | smuggled)
    resource = Resource.objects.get()
    assert (resource.kind, resource.healthy, resource.version, resource.created_by) == (
        "postgres",
        None,
        1,
        alice,
    )
    assert resource.pk != "rs-1111111111111111"


def test_a_kind_that_does_not_exist_is_not_found(alice_client, db):
    for slug in ("nothing", "Postgres", "__class__", "x" * 3000):
        assert alice_client.get(new_url(slug)).status_code == 404


def test_a_password_may_be_any_text(alice_client, db):
    for number, password in enumerate((" spaces around ", "üñî😀", "'\";--<>", "x" * 4096)):
        alice_client.post(new_url(), sent(name=f"r{number}", password=password))
        assert stored_secret(Resource.objects.get(name=f"r{number}")) == password


def test_the_service_checks_by_itself(bob, db):
    from_form = KINDS["rawTCP"].form(PARTS["rawTCP"])
    assert from_form.is_valid()
    details = services.Details("x", None, from_form.target(), {})
    with pytest.raises(PermissionRequired, match=r"resources\.change"):
        services.resource_create(actor=bob, kind=KINDS["rawTCP"], details=details, secrets={})
