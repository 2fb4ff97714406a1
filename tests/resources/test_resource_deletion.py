from resources.models import Credential, Resource, ResourceTag
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource, recorded, store_secret


def test_the_name_confirms_and_credentials_go_with_it(alice, alice_client):
    cluster = make_cluster("keen-coffee")
    resource = make_resource(alice, "orders", cluster=cluster, tags={"Team": "data"})
    store_secret(resource, "pg-secret")
    url = f"/resources/{resource.pk}/deletion/"
    page = alice_client.get(url).content.decode()
    assert "password is lost" in page and "through keen-coffee" in page
    for typed in ("", "Orders", "x" * 1000):
        assert alice_client.post(url, {"name": typed}).status_code == 422
    assert Resource.objects.exists()
    response = alice_client.post(url, {"name": "orders"}, follow=True)
    assert response.redirect_chain[-1][0] == "/resources/"
    assert (
        not Resource.objects.exists() and not Credential.objects.exists() and not ResourceTag.objects.exists()
    )
    before, _ = recorded("resource deleted")
    assert before["name"] == "orders"
    assert before["credentials"] == ["password"] and before["tags"] == {"Team": "data"}
    assert alice_client.post(url, {"name": "orders"}).status_code == 404


def test_a_dialog_gets_the_form_alone(alice, alice_client):
    resource = make_resource(alice, "orders")
    page = alice_client.get(
        f"/resources/{resource.pk}/deletion/", headers={"HX-Request": "true"}
    ).content.decode()
    assert "<html" not in page and "dialog-title" in page
