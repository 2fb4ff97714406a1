"""Each resource has a port of its own on people's machines."""

import threading

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Account
from resources import ports
from resources.kinds import KINDS
from resources.kinds.base import Target
from resources.models import Resource
from resources.services import NEW_PORT, Details, resource_create, resource_update
from tests.resources.factories import make_resource, sent

NEW = "/resources/new/postgres/"


def details(name: str, port: int = 0) -> Details:
    return Details(name, None, Target("db.internal", 5432, "app", {}), {}, port)


def create(actor: Account, name: str, port: int = 0) -> Resource:
    return resource_create(actor=actor, kind=KINDS["postgres"], details=details(name, port), secrets={})


def test_ports_are_given_in_order_and_not_again_at_once(alice: Account):
    first, second = create(alice, "a"), create(alice, "b")
    assert (first.port_override, second.port_override) == (10_000, 10_001)
    first.delete()
    assert create(alice, "c").port_override == 10_002


def test_when_the_usual_ones_are_used_up_gaps_are_filled_and_then_there_is_none(
    alice: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ports, "_EPHEMERAL", 10_002)
    monkeypatch.setattr(ports, "HIGHEST", 10_002)
    found = [create(alice, name).port_override for name in "abcd"]
    assert found == [10_000, 10_001, 10_002, None]


def test_one_can_be_chosen_and_nobody_else_has_it(alice_client: Client, db: None):
    alice_client.post(NEW, sent(name="orders", port_override="5433"))
    assert Resource.objects.get().port_override == 5_433
    page = alice_client.post(NEW, sent(name="other", port_override="5433"))
    assert page.status_code == 422
    assert "This is the local port of orders." in page.content.decode()


@pytest.mark.parametrize(
    "port", ["80", "1024", "65536", "x", "-2", "9" * 5_000, "1e4", "5433.0", "5_433", "٥٤٣٣", "\0"]
)
def test_ports_that_are_none(alice_client: Client, port: str):
    response = alice_client.post(NEW, sent(port_override=port))
    assert response.status_code == 422
    assert not Resource.objects.exists()


@pytest.mark.parametrize("wish", ["", "-1"])
def test_left_empty_another_one_is_chosen_and_left_out_it_stays(
    alice: Account, alice_client: Client, wish: str
):
    resource = create(alice, "orders")
    url = f"/resources/{resource.pk}/edit/"
    form = sent(version=resource.version)
    alice_client.post(url, form)
    kept = Resource.objects.get()
    assert kept.port_override == 10_000
    alice_client.post(url, sent(version=kept.version, port_override=wish))
    assert Resource.objects.get().port_override == 10_001


def test_another_ones_port_is_not_taken_by_a_change(alice: Account):
    make_resource(alice, "orders", port_override=7_000)
    other = create(alice, "other")
    with pytest.raises(ports.PortTaken, match="orders"):
        resource_update(actor=alice, resource=other, version=1, details=details("other", 7_000))
    assert resource_update(actor=alice, resource=other, version=1, details=details("other", NEW_PORT))


@pytest.mark.django_db(transaction=True)
def test_many_at_once_get_different_ports(alice: Account):
    def add(name: str) -> None:
        create(alice, name)
        connection.close()

    threads = [threading.Thread(target=add, args=(f"r-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Resource.objects.order_by("port_override").values_list("port_override", flat=True)
    assert list(found) == list(range(10_000, 10_006))
