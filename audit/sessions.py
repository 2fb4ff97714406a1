"""Ending sessions: an administrator asks, the worker is told by whoever watches access, and says when it has."""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from audit.models import Session
from audit.services import Actor, record, require
from audit.verbs import Verb
from events.topics import access_changed
from sdm.contract.endings import Ending


def session_end(*, actor: Actor, session: Session) -> bool:
    """Whether it still ran, and nobody had asked for its end before."""
    require(actor, "audit.end_sessions")
    with transaction.atomic():
        running = Session.objects.filter(pk=session.pk, ended_at__isnull=True, end_requested_at__isnull=True)
        if not running.update(end_requested_at=timezone.now(), end_requested_by=actor.email):
            return False
        after = {"person": session.who, "resource": session.what, "cluster": session.cluster_name}
        name = f"{session.who} with {session.what}"
        record(actor=actor, verb=Verb.SESSION_CUT, entity=session, entity_name=name, after=after)
        access_changed(session=session.pk)
    return True


def ended_sessions(session_ids: Iterable[str]) -> dict[str, str]:
    """Of these sessions those that have to end, each with what its person is told."""
    asked = Session.objects.filter(pk__in=list(session_ids), end_requested_at__isnull=False)
    return dict.fromkeys(asked.values_list("pk", flat=True), Ending.ENDED_BY_ADMINISTRATOR.sentence)
