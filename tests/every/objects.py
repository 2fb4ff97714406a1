"""An object for each parameter that routes have."""

import uuid

from accounts.models import Account
from audit.models import Activity
from audit.services import record
from audit.verbs import Verb
from keys.services import key_create
from tests.clusters.factories import make_cluster, make_worker
from tests.resources.factories import make_resource, store_secret


def make_objects(alice: Account, bob: Account) -> dict[str, str]:
    cluster = make_cluster("keen-coffee", Environment="sandbox")
    key, _ = key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    make_worker(cluster, access_key=key.pk)
    resource = make_resource(alice, "orders-db", cluster=cluster)
    store_secret(resource, "a password that nobody sees")
    record(actor=alice, verb=Verb.CLUSTER_CREATED, entity=cluster, after={"name": "keen-coffee"})
    return {
        "cluster_id": cluster.pk,
        "key_id": key.pk,
        "resource_id": resource.pk,
        "field": "password",
        "slug": "postgres",
        "account_id": bob.pk,
        "token": "no-such-token",
        "pk": str(Activity.objects.latest("pk").pk),
    }
