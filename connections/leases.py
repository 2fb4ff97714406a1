"""Leases: what a worker needs to connect somebody to a resource, credentials included.

Two keys open it: the worker's certificate, which the caller has checked, and a ticket that was given to a client.
Both have to be of the resource's cluster as it is now, and the decision is taken anew.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils import timezone
from django.utils.crypto import salted_hmac

from access.decisions import decide
from accounts.models import Account
from authority.ticket_keys import verified
from clusters.models import Worker
from connections.denials import NoAccess, decision_denied, ticket_denied
from logins.models import ClientLogin
from logins.selectors import LoginOver, live_login
from resources.credentials import opened
from resources.models import Resource
from sdm.contract.ticket import BadTicket, Ticket

# How long a worker may use it for further sessions of the same client.
GOOD_FOR = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Lease:
    account: Account
    resource: Resource
    credentials: Mapping[str, bytes] = field(repr=False)
    good_until: dt.datetime
    # When live sessions end: with the access itself, or with the login.
    ends_at: dt.datetime


def lease_of(*, worker: Worker, ticket: str, thumbprint: str) -> Lease:
    """BadTicket, LoginOver or NoAccess when there is none; each is recorded."""
    try:
        shown = verified(ticket)
    except BadTicket as error:
        ticket_denied(error, worker_id=worker.pk)
        raise
    account = Account.objects.filter(pk=shown.account_id).first()
    try:
        return _lease(worker, shown, thumbprint)
    except (BadTicket, LoginOver) as error:
        ticket_denied(error, worker_id=worker.pk, account=account, resource_id=shown.resource_id)
        raise


def _lease(worker: Worker, shown: Ticket, thumbprint: str) -> Lease:
    if shown.cluster_id != worker.cluster_id:
        raise BadTicket("The ticket is for another proxy cluster.")
    if shown.thumbprint != thumbprint:
        raise BadTicket("The ticket was given to another client certificate.")
    now = timezone.now()
    login = _login(shown)
    resource = Resource.objects.filter(pk=shown.resource_id, cluster=worker.cluster_id).first()
    decision = decide(account=login.account, resource=Resource(pk=shown.resource_id), at=now)
    if not decision.allowed:
        decision_denied(login.account, shown.resource_id, decision)
        raise NoAccess(decision)
    if resource is None:
        raise BadTicket("The resource belongs to another proxy cluster now.")
    ends_at = min(login.ends_at, decision.until or login.ends_at)
    return Lease(login.account, resource, opened(resource), min(now + GOOD_FOR, ends_at), ends_at)


def cancel_secret(cluster_id: str | None) -> bytes:
    """What the workers of one cluster share, so that a client can cancel at any of them. It is stored nowhere."""
    return salted_hmac("connections.cancel_secret", cluster_id or "", algorithm="sha256").digest()


def _login(shown: Ticket) -> ClientLogin:
    """The login whose certificate the ticket is bound to."""
    login = live_login(shown.thumbprint)
    if login.account_id != shown.account_id:
        raise BadTicket("The client certificate of this ticket is another account's.")
    return login
