"""Between the messages of clients and what services take and give."""

import re
from collections.abc import Sequence

from accounts.models import Account
from api import messages
from clusters.workers import Refused
from connections.catalog import Entry
from connections.tickets import Issued
from logins.services import LoggedIn
from resources.kinds import KINDS
from resources.kinds.base import Category
from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.contract.v1 import workers_pb2 as v1

# Clients take messages of four megabytes.
MAX_CATALOG = 3_500_000


def checked_id(prefix: str, text: str) -> str:
    """`text`, if it has the form of an id: it is not looked for otherwise, nor repeated."""
    if not re.fullmatch(rf"{prefix}-[0-9a-f]{{16}}", text, re.ASCII):
        raise Refused(Reason.BAD_REQUEST, f"An id here is {prefix}- and 16 hexadecimal digits.")
    return text


def person(account: Account) -> v1.Person:
    return v1.Person(account_id=account.pk, email=account.email, name=account.name)


def logged_in(found: LoggedIn) -> pb.FinishLoginResponse:
    return pb.FinishLoginResponse(
        state=pb.LOGIN_STATE_APPROVED,
        certificate=messages.certificate(found.certificate),
        person=person(found.login.account),
        ends_at=messages.timestamp(found.login.ends_at),
    )


def ticket(issued: Issued) -> pb.GetTicketResponse:
    return pb.GetTicketResponse(
        ticket=issued.text,
        expires_at=messages.timestamp(issued.content.expires_at),
        address=issued.address,
        authorities=[pem.encode() for pem in issued.authorities],
        cluster_id=issued.content.cluster_id,
    )


def catalog(account: Account, entries: Sequence[Entry]) -> pb.Catalog:
    """As many entries as one message takes."""
    told = pb.Catalog(person=person(account))
    size = 0
    for entry in entries:
        message = _entry(entry)
        size += message.ByteSize()
        if size > MAX_CATALOG:
            break
        told.entries.append(message)
    return told


def _entry(entry: Entry) -> pb.CatalogEntry:
    resource = entry.resource
    category = KINDS[resource.kind].category
    told = pb.CatalogEntry(
        resource_id=resource.pk,
        name=resource.name,
        kind=resource.kind,
        category=category.value,
        cluster_name=resource.cluster.name if resource.cluster else "",
        local_port=resource.port_override or 0,
        tags=entry.tags,
        # Of a website it is half of what workers put in, and nobody's tool asks for it.
        username="" if category is Category.WEBSITE else resource.username,
        database=resource.config.get("database", ""),
        path=resource.config.get("default_path", ""),
        cut_session_id=entry.cut_session_id,
        health_problem=entry.health_problem,
        unserved=not resource.is_served,
    )
    if resource.healthy is not None:
        told.healthy = resource.healthy
    if entry.ends_at is not None:
        told.ends_at.CopyFrom(messages.timestamp(entry.ends_at))
    return told
