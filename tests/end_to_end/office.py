"""An administrator at work: what somebody would click together in the console, done by the same services.

A process with the console's own settings. It reads a line of JSON for each act, `[name, arguments]`, and answers with
one; the end of its input ends it. The acts are the functions below that tests call.
"""

import datetime as dt
import json
import sys
import uuid
from typing import Any

import django

django.setup()

from django.utils import timezone  # noqa: E402

from access import giving  # noqa: E402
from access.matching import Conditions, Selection  # noqa: E402
from access.models import Attachment, Grant, Role  # noqa: E402
from access.services import role_create, rule_add  # noqa: E402
from accounts.models import Account  # noqa: E402
from accounts.policy import Level  # noqa: E402
from accounts.services import account_reinstate, account_suspend  # noqa: E402
from audit.models import Activity, Query, Session  # noqa: E402
from audit.sessions import session_end  # noqa: E402
from audit.verbs import Verb  # noqa: E402
from clusters.models import Cluster, Worker  # noqa: E402
from clusters.services import cluster_create  # noqa: E402
from keys.services import key_create  # noqa: E402
from logins.models import PendingLogin  # noqa: E402
from logins.services import login_decide  # noqa: E402
from resources.kinds import KINDS  # noqa: E402
from resources.kinds.base import Target  # noqa: E402
from resources.models import Resource  # noqa: E402
from resources.services import (  # noqa: E402
    Details,
    Move,
    credential_replace,
    resource_create,
    resource_update,
    resources_move,
)
from sdm.contract.address import Address  # noqa: E402
from tests.end_to_end.cast import ADA, ALICE  # noqa: E402

# What the role opens.
TAGS = {"Environment": "test"}


def ada() -> Account:
    return Account.objects.get(email=ADA)


def alice() -> Account:
    return Account.objects.get(email=ALICE)


# --- Before there is anything -----------------------------------------------------------------------


def set_up(password: str, address: str) -> dict[str, str]:
    """Two people, a cluster with a key, and a role that opens what has the tags to one of them."""
    for email, name, level in ((ADA, "Ada", Level.ADMIN), (ALICE, "Alice", Level.USER)):
        account = Account(email=email, name=name, level=level)
        account.set_password(password)
        account.save()
    cluster = cluster_create(actor=ada(), name="keen-coffee", address=Address.parse(address), tags={})
    key, secret = key_create(actor=ada(), cluster=cluster, request_id=uuid.uuid4())
    role = role_create(actor=ada(), name="testers", tags={})
    rule_add(actor=ada(), role=role, selection=Selection(conditions=Conditions(tags=TAGS)))
    attach()
    return {"access_key": key.pk, "secret_key": secret.reveal()}


def add_resource(
    name: str,
    kind: str,
    *,
    port: int,
    local_port: int,
    hostname: str = "127.0.0.1",
    username: str = "",
    config: dict[str, Any] | None = None,
    secrets: dict[str, str] | None = None,
    tagged: bool = True,
) -> str:
    details = Details(
        name,
        Cluster.objects.get(),
        Target(hostname, port, username, config or {}),
        TAGS if tagged else {},
        local_port,
    )
    return resource_create(actor=ada(), kind=KINDS[kind], details=details, secrets=secrets or {}).pk


def approve(code: str) -> bool:
    """Of somebody who looks at the code that their machine shows."""
    return login_decide(actor=alice(), pending=PendingLogin.objects.get(code=code), approve=True)


# --- Giving, and taking away ------------------------------------------------------------------------


def attach() -> None:
    giving.account_attach(actor=ada(), account=alice(), role=Role.objects.get())


def detach() -> None:
    giving.account_detach(actor=ada(), attachment=Attachment.objects.get())


def grant(resource: str, seconds: float) -> None:
    now = timezone.now()
    giving.grant_create(
        actor=ada(),
        account=alice(),
        target=Resource.objects.get(name=resource),
        starts_at=now,
        ends_at=now + dt.timedelta(seconds=seconds),
        reason="for a test",
    )


def end_grant() -> None:
    giving.grant_end(actor=ada(), grant=Grant.objects.latest("created_at"))


def suspend() -> None:
    account_suspend(actor=ada(), account=alice())


def reinstate() -> None:
    account_reinstate(actor=ada(), account=alice())


def detach_resource(name: str) -> None:
    _move(name, Cluster.objects.get().pk, "")


def attach_resource(name: str) -> None:
    _move(name, "", Cluster.objects.get().pk)


def _move(name: str, source: str, destination: str) -> None:
    move = Move(Resource.objects.get(name=name).pk, source, destination)
    assert resources_move(actor=ada(), moves=[move])


def move_resource(name: str, port: int) -> bool:
    """To another port of its machine."""
    resource = Resource.objects.get(name=name)
    target = Target(resource.hostname, port, resource.username, resource.config)
    details = Details(name, resource.cluster, target, TAGS)
    return resource_update(actor=ada(), resource=resource, version=resource.version, details=details)


def replace_password(name: str, password: str) -> None:
    resource = Resource.objects.get(name=name)
    credential_replace(actor=ada(), resource=resource, field="password", secret=password)


def end_session(session_id: str) -> bool:
    return session_end(actor=ada(), session=Session.objects.get(pk=session_id))


# --- Looking ----------------------------------------------------------------------------------------


def workers() -> int:
    return Worker.objects.filter(state=Worker.State.STARTED).count()


def health(resource: str) -> bool | None:
    return Resource.objects.get(name=resource).healthy


def resource_id(name: str) -> str:
    return Resource.objects.get(name=name).pk


def refusals(resource: str) -> list[Any]:
    """Why somebody was refused it, the latest first."""
    denied = Activity.objects.filter(verb=Verb.ACCESS_REFUSED.value, entity_name=resource)
    return list(denied.order_by("-pk").values_list("after", flat=True))


def sessions(resource: str) -> list[Any]:
    """The latest first."""
    rows = Session.objects.filter(resource_name=resource).order_by("-started_at")
    return list(
        rows.values(
            "id",
            "account_name",
            "ended_at",
            "ending",
            "ending_words",
            "requests",
            "bytes_sent",
            "bytes_received",
        )
    )


def queries(resource: str, text: str) -> list[Any]:
    """Those that begin with this, in the order in which they were asked."""
    rows = Query.objects.filter(session__resource_name=resource, text__startswith=text)
    return list(
        rows.order_by("started_at", "number").values(
            "session_id", "text", "rows", "microseconds", "result", "error", "bytes_sent", "bytes_received"
        )
    )


def main() -> None:
    for line in sys.stdin:
        name, arguments = json.loads(line)
        answer = globals()[name](**arguments)
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
