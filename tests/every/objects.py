"""An object for each parameter that routes have."""

import datetime as dt
import uuid

from django.utils import timezone

from accounts.models import Account
from audit.models import Activity
from audit.services import record
from audit.verbs import Verb
from authority import services as authority
from keys.services import key_create
from logins.models import ClientLogin
from logins.services import Machine, login_begin
from sdm.pki import csr
from tests.access.factories import choose, grant, make_role, match
from tests.audit.factories import make_session
from tests.clusters.factories import make_cluster, make_worker
from tests.resources.factories import make_resource, store_secret


def make_objects(alice: Account, bob: Account) -> dict[str, str]:
    # An address of this machine: a page tries it.
    cluster = make_cluster("keen-coffee", "127.0.0.1:1", Environment="sandbox")
    key, _ = key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    worker = make_worker(cluster, access_key=key.pk)
    resource = make_resource(alice, "orders-db", cluster=cluster)
    store_secret(resource, "a password that nobody sees")
    make_certificates(cluster.pk)
    # Bob audits: what he has opens nothing, and the pages say so.
    role = make_role(alice, "developers", alice, bob, Team="blue")
    rule = match(role, kinds=["postgres"], tags={"Environment": "sandbox"}, cluster=cluster)
    choose(role, resource)
    given = grant(alice, alice, resource)
    record(actor=alice, verb=Verb.CLUSTER_CREATED, entity=cluster, after={"name": "keen-coffee"})
    session = make_session(b"SELECT '<script>alert(1)</script>'", cluster_id=cluster.pk)
    return {
        "session_id": session.pk,
        "query_id": f"{session.pk}-1",
        "cluster_id": cluster.pk,
        "key_id": key.pk,
        "worker_id": worker.pk,
        "resource_id": resource.pk,
        "role_id": role.pk,
        "rule_id": rule.pk,
        "attachment_id": role.attachments.get(account=bob).pk,
        "grant_id": given.pk,
        "field": "password",
        "slug": "postgres",
        "account_id": bob.pk,
        "token": "no-such-token",
        "login_id": make_login(),
        "device_id": make_device(bob),
        "purpose": "worker",
        "step": "begin",
        "pk": str(Activity.objects.latest("pk").pk),
    }


def make_login() -> str:
    """A machine that asks to be let in."""
    return login_begin(Machine("notebook-7", "1.2.3", "192.0.2.7")).pending.pk


def make_device(account: Account) -> str:
    ends = timezone.now() + dt.timedelta(days=1)
    return ClientLogin.objects.create(account=account, host_name="desk-1", epoch=0, ends_at=ends).pk


def make_certificates(cluster_id: str) -> None:
    """One that is in use, and one that was revoked. Nobody is a client yet."""
    for worker_id in ("w-5d41402abc4b2a76", "w-7d793037a0760186"):
        request = csr.new_csr(csr.new_key())
        authority.issue_worker(cluster_id=cluster_id, worker_id=worker_id, csr_pem=request, host="10.0.0.21")
    authority.revoke(actor=None, subject_id="w-7d793037a0760186", reason="Its key was deleted.")
