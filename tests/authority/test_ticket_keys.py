import base64
import datetime as dt
import io
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

import sealing
from audit.models import Activity
from audit.verbs import Verb
from authority import ticket_keys
from authority.models import TicketKey
from clusters.configuration import configuration_of
from sdm.contract import ticket
from sdm.contract.ticket import BadTicket, Ticket
from sealing import rotation
from tests.authority.conftest import later
from tests.clusters.factories import make_cluster
from tests.resources.test_no_secret_anywhere import whole_database

pytestmark = pytest.mark.django_db


def content() -> Ticket:
    ends = timezone.now().replace(microsecond=0) + ticket.LIFETIME
    return Ticket("t-1", "a-1", "rs-1", "n-1", "ab" * 32, ends)


def rotate(**options: bool) -> str:
    out = io.StringIO()
    call_command("rotate_ticket_keys", stdout=out, **options)
    return out.getvalue()


def test_the_first_worker_that_asks_has_the_first_key_made():
    current = configuration_of(make_cluster("keen-coffee"))
    [(name, public)] = current.contents.ticket_keys
    assert TicketKey.objects.get().pk == name
    assert bytes(TicketKey.objects.get().public_key).hex() == public
    assert Activity.objects.filter(verb=Verb.TICKET_KEY_CREATED, entity_id=name).count() == 1
    assert ticket_keys.verified(ticket_keys.signed(content())) == content()
    assert TicketKey.objects.count() == 1


def test_a_rotation_goes_by_the_clock_and_cuts_nobody():
    cluster = make_cluster("keen-coffee")
    before = configuration_of(cluster)
    assert "signs in 10 minutes" in rotate()
    cluster.refresh_from_db()
    listed = configuration_of(cluster)
    assert listed.generation > before.generation
    old, new = [name for name, _ in listed.contents.ticket_keys]
    assert ticket_keys.signed(content()).startswith(head_of(old))
    with later(minutes=9, seconds=55):
        last = ticket_keys.signed(content())
        assert last.startswith(head_of(old))
    with later(minutes=10, seconds=5):
        assert ticket_keys.signed(content()).startswith(head_of(new))
        assert ticket_keys.verified(last).account_id == "a-1"
    with later(minutes=18):
        assert list(ticket_keys.ticket_keys()) == [new]
        rotate()
    assert not TicketKey.objects.filter(pk=old).exists()


def head_of(key_id: str) -> str:
    return ticket._encode(ticket._json({"alg": "EdDSA", "kid": key_id, "typ": "sdm-ticket+jwt"}))


def test_at_once_the_old_key_is_worth_nothing():
    stolen = ticket_keys.signed(content())
    assert "from now on" in rotate(at_once=True)
    with pytest.raises(BadTicket):
        ticket_keys.verified(stolen)
    assert TicketKey.objects.count() == 1
    assert ticket_keys.verified(ticket_keys.signed(content())).id == content().id


def test_the_private_key_is_sealed_and_nowhere_else(caplog):
    signed = ticket_keys.signed(content())
    row = TicketKey.objects.get()
    raw = sealing.unseal(bytes(row.sealed), context=row.context)
    assert Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw() == bytes(row.public_key)
    spellings = {raw.hex(), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()[:42]}
    texts = [signed, repr(row), caplog.text, *(text for _, text in whole_database())]
    assert not [each for each in spellings for text in texts if each in text]
    assert "keys that sign tickets" in [store.name for store in rotation.stores()]


@pytest.mark.django_db(transaction=True)
def test_of_many_that_ask_first_at_once_one_makes_it():
    def ask() -> None:
        ticket_keys.ticket_keys()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert TicketKey.objects.count() == 1


def test_a_key_that_was_begun_and_never_used_signs_when_there_is_no_other():
    rotate()
    assert TicketKey.objects.get().signs_from > timezone.now() + dt.timedelta(minutes=9)
    assert ticket_keys.verified(ticket_keys.signed(content())).id == content().id
