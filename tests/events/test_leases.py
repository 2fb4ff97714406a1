"""One process at a time does a job; another takes over when the first has fallen silent."""

import pytest

from events import leases
from events.models import Lease

pytestmark = pytest.mark.django_db


def test_the_first_to_ask_has_it_and_keeps_it():
    assert leases.take("sweep", holder="one", seconds=10)
    assert not leases.take("sweep", holder="two", seconds=10)
    assert leases.take("sweep", holder="one", seconds=10)
    assert leases.take("another job", holder="two", seconds=10)


def test_who_falls_silent_loses_it():
    leases.take("sweep", holder="one", seconds=10)
    Lease.objects.update(until="2026-01-01T00:00:00Z")
    assert leases.take("sweep", holder="two", seconds=10)
    assert not leases.take("sweep", holder="one", seconds=10)


def test_given_back_it_is_free_at_once_and_only_its_holder_gives_it_back():
    leases.take("sweep", holder="one", seconds=10)
    leases.give_back("sweep", holder="two")
    assert not leases.take("sweep", holder="two", seconds=10)
    leases.give_back("sweep", holder="one")
    assert leases.take("sweep", holder="two", seconds=10)
