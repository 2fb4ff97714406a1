import pytest

from tests.access.factories import make_role
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource


@pytest.fixture
def role(alice):
    return make_role(alice, "developers", Team="blue")


@pytest.fixture
def orders(alice):
    return make_resource(
        alice, "orders-db", cluster=make_cluster("keen-coffee"), tags={"Environment": "sandbox"}
    )
