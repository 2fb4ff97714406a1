"""The keys that tickets are signed with: made when a worker first asks which they are, and replaced by the clock.

A new key is listed at once and signs a little later, when all workers know it; the one before is listed until the
last ticket that it signed is over. So a rotation is one step, and time does the rest.
"""

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.db import transaction
from django.utils import timezone

import sealing
from audit.services import record
from audit.verbs import Verb
from authority.models import Purpose, TicketKey
from authority.selectors import topic
from authority.services import locked
from events.publishing import publish
from sdm.contract import ticket
from sdm.contract.ticket import Ticket

# Workers look once a minute, should they have missed the news.
KNOWN_AFTER = dt.timedelta(minutes=10)
_OVER_AFTER = ticket.LIFETIME + 2 * ticket.LEEWAY


def ticket_keys() -> Mapping[str, bytes]:
    """The public halves by id, of all that may have signed a ticket that is good, or will soon."""
    found = _listed(timezone.now()) or [_make_first()]
    return {key.pk: bytes(key.public_key) for key in found}


def signed(content: Ticket) -> str:
    """The ticket, signed. A SealingError when the sealing key is not there."""
    now = timezone.now()
    signing = TicketKey.objects.filter(signs_from__lte=now).order_by("-signs_from", "-pk").first()
    key = signing or _make_first()
    return ticket.sign(content, key=_open(bytes(key.sealed), key.context), key_id=key.pk)


def verified(text: str) -> Ticket:
    """What a ticket of ours says; `sdm.contract.ticket.BadTicket` when it is none, or over."""
    keys = {name: Ed25519PublicKey.from_public_bytes(raw) for name, raw in ticket_keys().items()}
    return ticket.verify(text, keys=keys, at=timezone.now())


@transaction.atomic
def rotate(*, at_once: bool) -> TicketKey:
    """A new key. At once, when the old one is in somebody else's hands: what it signed is worth nothing any more.

    For the console's own machine: there is no actor, and nobody to ask.
    """
    locked()
    now = timezone.now()
    listed = [key.pk for key in _listed(now)]
    old = TicketKey.objects.all() if at_once else TicketKey.objects.exclude(pk__in=listed)
    removed = sorted(old.values_list("pk", flat=True))
    old.delete()
    return _make(now if at_once else now + KNOWN_AFTER, removed)


def _make_first() -> TicketKey:
    with transaction.atomic():
        locked()
        # Perhaps somebody made it while we waited.
        return TicketKey.objects.order_by("signs_from").first() or _make(timezone.now(), [])


def _listed(now: dt.datetime) -> list[TicketKey]:
    """Those that will sign or signed lately, and the one that did before: the oldest first."""
    rows = list(TicketKey.objects.order_by("-signs_from", "-pk"))
    settled = [key.signs_from <= now - _OVER_AFTER for key in rows]
    count = settled.index(True) + 1 if True in settled else len(rows)
    return rows[:count][::-1]


def _make(signs_from: dt.datetime, removed: list[str]) -> TicketKey:
    private = Ed25519PrivateKey.generate()
    key = TicketKey(public_key=private.public_key().public_bytes_raw(), signs_from=signs_from)
    key.sealed = sealing.seal(private.private_bytes_raw(), context=key.context)
    key.key_id = sealing.key_id(key.sealed)
    key.save(force_insert=True)
    # Workers hear of it with what they trust of clients.
    publish(topic(Purpose.CLIENT))
    after = {"signs from": signs_from.isoformat(), "public key": bytes(key.public_key).hex()}
    record(actor=None, verb=Verb.TICKET_KEY_CREATED, entity=key, before={"removed": removed}, after=after)
    return key


@lru_cache(maxsize=4)
def _open(sealed: bytes, context: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sealing.unseal(sealed, context=context))
