"""Clusters and workers as tests need them, made without the rules of services."""

import itertools
from typing import Any

from django.utils import timezone

from clusters.models import Cluster, Worker
from clusters.services import workers_changed
from sdm.contract.address import Address

_numbers = itertools.count(1)


def make_cluster(name: str = "", address: str = "10.0.0.21:443", **tags: str) -> Cluster:
    name = name or f"cluster-{next(_numbers)}"
    host = Address.parse(address).host
    cluster = Cluster.objects.create(name=name, name_folded=name.casefold(), address=address, host=host)
    for key, value in tags.items():
        cluster.tags.create(key=key, value=value)
    return cluster


def make_worker(cluster: Cluster, state: Worker.State = Worker.State.STARTED, **fields: Any) -> Worker:
    values = {
        "access_key": "gk-0000000000000000",
        "host_name": f"worker-{next(_numbers)}",
        "version": "1.0.0",
        "source_address": "192.0.2.7",
        "last_heartbeat_at": timezone.now(),
    }
    worker = Worker.objects.create(cluster=cluster, state=state, **{**values, **fields})
    workers_changed(cluster)
    return worker
