"""Maintenance windows: cron schedules in UTC, open during each minute that they match.

As in the compatible system a schedule has five fields and is weekly: day of month and month are `*`.
"""

import datetime as dt
from dataclasses import dataclass

from cronsim import CronSim, CronSimError

MAX_WINDOWS = 10
# Longer than any schedule; the column is as wide.
MAX_SCHEDULE = 100
_MINUTE = dt.timedelta(minutes=1)
_EXAMPLE = "“* 7 * * 0,6” is 07:00–08:00 UTC at weekends."
_NO_SCHEDULE = "This is not a cron schedule."
# The library's words for a field that is wrong, and ours.
_WRONG = {
    "Bad minute": "The first field is no minute: use * or numbers from 0 to 59.",
    "Bad hour": "The second field is no hour: use * or numbers from 0 to 23.",
    "Bad day-of-week": "The last field is no weekday: use * or numbers from 0 (Sunday) to 6.",
}
# A weekly schedule that has not closed for a week never closes.
_WEEK_OF_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Opening:
    opens: dt.datetime
    closes: dt.datetime


def check_schedule(text: str) -> str:
    """The schedule with single spaces; ValueError with a sentence for people when it is not one."""
    if len(text) > MAX_SCHEDULE:
        raise ValueError(f"A schedule has at most {MAX_SCHEDULE} characters.")
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(
            "A schedule has five fields: minute, hour, day of month, month, weekday, as in “* 7 * * 0,6”."
        )
    if fields[2] != "*" or fields[3] != "*":
        raise ValueError(
            "Windows are weekly: day of month and month (the third and fourth field) must be “*”."
        )
    schedule = " ".join(fields)
    try:
        CronSim(schedule, dt.datetime.now(dt.UTC))
    except CronSimError as error:
        raise ValueError(f"{_WRONG.get(str(error), _NO_SCHEDULE)} {_EXAMPLE}") from None
    return schedule


def explain(schedule: str) -> str:
    """The schedule in words, as in "Every minute from 07:00 through 07:59 on Saturday and Sunday"."""
    return str(CronSim(schedule, dt.datetime.now(dt.UTC)).explain())


def next_openings(schedule: str, now: dt.datetime, count: int = 3) -> list[Opening]:
    """The next times the window opens and closes, the one that is open now first; none when it never closes."""
    openings: list[Opening] = []
    minutes = CronSim(schedule, now.replace(second=0, microsecond=0) - _MINUTE)
    opens = last = next(minutes)
    for _ in range(_WEEK_OF_MINUTES * count):
        minute = next(minutes)
        if minute - last != _MINUTE:
            openings.append(Opening(opens, last + _MINUTE))
            opens = minute
        if len(openings) == count or minute - opens >= dt.timedelta(days=7):
            break
        last = minute
    return openings
