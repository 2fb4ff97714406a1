import time

import pytest
from django.test import Client

from accounts.models import Account
from accounts.policy import Level
from tests.people import make_account


@pytest.fixture
def alice(db: None) -> Account:
    return make_account("Alice", Level.ADMIN)


@pytest.fixture
def bob(db: None) -> Account:
    return make_account("Bob", Level.AUDITOR)


@pytest.fixture
def charlie(db: None) -> Account:
    return make_account("Charlie", Level.USER)


def sign_in(account: Account, *, confirmed: bool = True) -> Client:
    """A client signed in as `account`, as if it had just typed its password, or (not confirmed) long ago."""
    client = Client()
    client.force_login(account)
    session = client.session
    when = time.time() if confirmed else time.time() - 24 * 3600
    session["account_authentication_methods"] = [{"method": "password", "at": when}]
    session.save()
    return client


@pytest.fixture
def alice_client(alice: Account) -> Client:
    return sign_in(alice)


@pytest.fixture
def bob_client(bob: Account) -> Client:
    return sign_in(bob)


@pytest.fixture
def charlie_client(charlie: Account) -> Client:
    return sign_in(charlie)
