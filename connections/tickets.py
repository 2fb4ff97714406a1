"""Tickets: a client asks for a resource, and may then ask that resource's cluster for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from access.decisions import Decision, Refusal, decide
from authority.models import Purpose
from authority.selectors import trusted
from authority.ticket_keys import signed
from clusters.models import Cluster
from connections.denials import NoAccess, decision_denied
from logins.models import ClientLogin
from resources.models import Resource
from sdm.contract import ids, ticket
from sdm.contract.ticket import Ticket


@dataclass(frozen=True, slots=True)
class Issued:
    content: Ticket
    text: str = field(repr=False)
    # Where it is shown, and by whom the certificates there are signed.
    address: str
    authorities: Sequence[str]


def ticket_issue(*, login: ClientLogin, resource_id: str, thumbprint: str) -> Issued:
    """A ticket for `login`, whose certificate has `thumbprint`; NoAccess when it may not, which is recorded."""
    now = timezone.now()
    decision = decide(account=login.account, resource=Resource(pk=resource_id), at=now)
    cluster = Cluster.objects.filter(resources=resource_id).first()
    if not decision.allowed:
        decision_denied(login.account, resource_id, decision)
        raise NoAccess(decision)
    if cluster is None:  # detached in this very moment
        raise NoAccess(Decision(Refusal.NO_CLUSTER, Refusal.NO_CLUSTER.sentence))
    # Tickets count in whole seconds.
    ends = min(now + ticket.LIFETIME, login.ends_at, decision.until or login.ends_at)
    content = Ticket(
        id=ids.new_id("t"),
        account_id=login.account_id,
        resource_id=resource_id,
        cluster_id=cluster.pk,
        thumbprint=thumbprint,
        expires_at=ends.replace(microsecond=0),
    )
    return Issued(content, signed(content), cluster.address, trusted(Purpose.WORKER))
