"""Recording what was refused to people who are signed in, but not without bound.

Nothing is ever removed from the log, so a refusal that a script repeats must not fill the disk. Each of a
person's first thirty in a minute is an activity; the thirtieth says that more may follow unrecorded. Those are
still lines of the process's own log, which is rotated.
"""

import datetime as dt
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from audit.models import Activity
from audit.services import record
from audit.verbs import Verb

MINUTE = dt.timedelta(minutes=1)
A_MINUTE_AT_MOST = 30

_REFUSALS = (Verb.PERMISSION_DENIED, Verb.REQUEST_REFUSED)
_LAST = "more refusals within this minute are in the process's log only"


def record_refusal(request: HttpRequest, verb: Verb, **details: Any) -> None:
    if not request.user.is_authenticated:
        return
    recent = Activity.objects.filter(
        actor=request.user, verb__in=_REFUSALS, created_at__gt=timezone.now() - MINUTE
    ).count()
    if recent >= A_MINUTE_AT_MOST:
        return
    if recent == A_MINUTE_AT_MOST - 1:
        details["note"] = _LAST
    record(
        actor=request.user,
        verb=verb,
        # Without the query, which can hold what somebody typed.
        entity_name=f"{request.method} {request.path}",
        after=details,
        outcome=Activity.Outcome.DENIED,
    )
