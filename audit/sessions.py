"""What people do with sessions: end them, and take copies of the log."""

from collections.abc import Iterable, Iterator, Mapping

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from audit import log_selectors
from audit.log_selectors import LogFilters
from audit.models import Query, Session
from audit.services import Actor, record, require
from audit.verbs import Verb
from events.topics import access_changed
from sdm.contract.endings import Ending

# Seconds.
_CUT_NOTED = 600


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
        _note_cut(session)
        access_changed(session=session.pk, account=session.account_id)
    return True


def recently_cut(account_id: str) -> Mapping[str, str]:
    """Sessions of this account that somebody ended a moment ago, by the resource; the latest of each."""
    found: Mapping[str, str] = cache.get(_cut_key(account_id), {})
    return found


def _note_cut(session: Session) -> None:
    """For a while, so that the person's own client can say it; whoever looks later looks into the log."""
    cut = {**recently_cut(session.account_id), session.resource_id: session.pk}
    cache.set(_cut_key(session.account_id), cut, _CUT_NOTED)


def _cut_key(account_id: str) -> str:
    return f"sessions-cut:{account_id}"


def ended_sessions(session_ids: Iterable[str]) -> dict[str, str]:
    """Of these sessions those that have to end, each with what its person is told."""
    asked = Session.objects.filter(pk__in=list(session_ids), end_requested_at__isnull=False)
    return dict.fromkeys(asked.values_list("pk", flat=True), Ending.ENDED_BY_ADMINISTRATOR.sentence)


# --- Exports ------------------------------------------------------------------------------------


def sessions_export(*, actor: Actor, filters: LogFilters, file_format: str) -> Iterator[Session]:
    """All that match, oldest first; that they were taken is recorded before the first of them."""
    _record_export(actor, Verb.SESSIONS_EXPORTED, filters, file_format)
    return log_selectors.sessions_in_order(filters)


def queries_export(*, actor: Actor, filters: LogFilters, file_format: str) -> Iterator[Query]:
    _record_export(actor, Verb.QUERIES_EXPORTED, filters, file_format)
    return log_selectors.queries_in_order(filters)


def _record_export(actor: Actor, verb: Verb, filters: LogFilters, file_format: str) -> None:
    require(actor, "audit.view")
    with transaction.atomic():
        record(actor=actor, verb=verb, after={"format": file_format, **filters.in_words()})
