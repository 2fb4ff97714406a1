"""Jobs that one process does for all: a row says which, and when it may be taken over."""

import datetime as dt

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from events.models import Lease


def take(job: str, *, holder: str, seconds: float) -> bool:
    """Whether `holder` does `job` for the next `seconds`; it asks again before they are over."""
    now = timezone.now()
    values = {"holder": holder, "until": now + dt.timedelta(seconds=seconds)}
    if Lease.objects.filter(Q(holder=holder) | Q(until__lt=now), job=job).update(**values):
        return True
    if Lease.objects.filter(job=job).exists():
        return False
    try:
        with transaction.atomic():
            Lease.objects.create(job=job, **values)
    except IntegrityError:  # somebody else was faster
        return False
    return True


def give_back(job: str, *, holder: str) -> None:
    Lease.objects.filter(job=job, holder=holder).delete()
