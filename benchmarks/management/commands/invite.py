"""`manage.py invite`: a cluster and its keys, for workers that only a benchmark has. What they need, as JSON."""

import json
import uuid
from typing import Any

from django.core.management import BaseCommand, call_command

from accounts.models import Account
from accounts.policy import Level
from clusters.services import cluster_create
from keys.services import key_create
from sdm.contract.address import Address


class Command(BaseCommand):
    help = "Make a cluster and its keys for the benchmark of the worker."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        alice = Account.objects.create(email="alice@example.com", name="Alice", level=Level.ADMIN)
        cluster = cluster_create(actor=alice, name="many", address=Address.parse("127.0.0.1:1"), tags={})
        key, secret = key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
        self.stdout.write(
            json.dumps(
                {"SDM_PROXY_CLUSTER_ACCESS_KEY": key.pk, "SDM_PROXY_CLUSTER_SECRET_KEY": secret.reveal()}
            )
        )
