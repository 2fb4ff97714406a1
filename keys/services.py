"""Making and deleting the keys that let workers join a cluster."""

import uuid

from django.conf import settings
from django.db import transaction

from accounts.models import Account
from audit.services import record, require
from audit.verbs import Verb
from clusters.models import Cluster
from clusters.services import keys_retire
from clusters.workers import workers_of_key_stop
from keys.models import ClusterKey
from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason


class LimitReached(Exception):
    """The cluster has as many live keys as it may."""


class AlreadyMade(Exception):
    """This form was sent before, and its key shown."""


def key_create(*, actor: Account, cluster: Cluster, request_id: uuid.UUID) -> tuple[ClusterKey, SecretKey]:
    """A key, and its secret half, which is kept nowhere: what is returned here is shown once and gone."""
    require(actor, "keys.change")
    with transaction.atomic():
        # One at a time for each cluster, so that two cannot both be the last that fits.
        Cluster.objects.select_for_update().get(pk=cluster.pk)
        if ClusterKey.objects.filter(request_id=request_id).exists():
            raise AlreadyMade
        if cluster.keys.count() >= settings.KEYS_PER_CLUSTER:
            raise LimitReached
        secret = SecretKey.generate()
        key = ClusterKey.objects.create(
            cluster=cluster, public_key=secret.public_bytes(), created_by=actor, request_id=request_id
        )
        record(
            actor=actor,
            verb=Verb.KEY_CREATED,
            entity=key,
            after={"cluster": cluster.pk, "name": cluster.name},
        )
    return key, secret


def key_delete(*, actor: Account, key: ClusterKey) -> None:
    """The workers that joined with it stop. ClusterKey.DoesNotExist when somebody else was faster."""
    require(actor, "keys.change")
    with transaction.atomic():
        key = ClusterKey.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=key.pk)
        before = {
            "cluster": key.cluster_id,
            "name": key.cluster.name,
            "created_at": key.created_at.isoformat(),
        }
        record(actor=actor, verb=Verb.KEY_DELETED, entity=key, before=before)
        keys_retire([(key.pk, bytes(key.public_key))], Reason.KEY_DELETED)
        access_key = key.pk
        key.delete()
        workers_of_key_stop(access_key)
