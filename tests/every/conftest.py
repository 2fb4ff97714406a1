import pytest

from accounts.models import Account
from tests.every.objects import make_objects


@pytest.fixture
def ids(alice: Account, bob: Account) -> dict[str, str]:
    return make_objects(alice, bob)
