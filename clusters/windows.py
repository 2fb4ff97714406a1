"""Maintenance windows: cron schedules in UTC, open during each minute that they match.

As in the compatible system a schedule has five fields and is weekly: day of month and month are `*`.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from cronsim import CronSim, CronSimError

MAX_WINDOWS = 10
# When a worker of a cluster without windows may restart in any case, unless it says otherwise.
DEFAULT_HOUR = 7
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


class Allowed(Enum):
    """What the windows allow at a moment."""

    NOTHING = auto()
    WHEN_IDLE = auto()
    ANYHOW = auto()


@dataclass(frozen=True, slots=True)
class WindowRule:
    cron_schedule: str
    require_idleness: bool


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


# --- Of workers that are to restart ---------------------------------------------------------------


def default_windows(hour: int) -> list[WindowRule]:
    """Of a cluster that has none of its own: at any time when idle, and in one hour of each day in any case."""
    return [
        WindowRule("* * * * *", require_idleness=True),
        WindowRule(f"* {hour} * * *", require_idleness=False),
    ]


def allowed_at(windows: Iterable[WindowRule], at: dt.datetime) -> Allowed:
    found = [window.require_idleness for window in windows if _opens(window, at) <= at]
    if not found:
        return Allowed.NOTHING
    return Allowed.WHEN_IDLE if all(found) else Allowed.ANYHOW


def expectation(windows: Sequence[WindowRule], at: dt.datetime) -> str:
    """When a worker restarts that is asked to now: the end of a sentence that begins with its name."""
    forced = min((_opens(each, at) for each in windows if not each.require_idleness), default=None)
    idle = min((_opens(each, at) for each in windows if each.require_idleness), default=None)
    in_any_case = f", at {_moment(forced)} in any case" if forced else ""
    if forced and forced <= at:
        return "restarts now, with or without connections"
    if idle and idle <= at:
        return f"restarts as soon as it has no connections{in_any_case}"
    if idle and (not forced or idle < forced):
        return f"restarts from {_moment(idle)} on when it has no connections{in_any_case}"
    return f"restarts at {_moment(forced)}, with or without connections" if forced else "never restarts"


def _opens(window: WindowRule, at: dt.datetime) -> dt.datetime:
    """The first minute from that of `at` on in which it is open. Schedules are in UTC, which has no summer time."""
    minute = at.astimezone(dt.UTC).replace(second=0, microsecond=0)
    return next(CronSim(window.cron_schedule, minute - _MINUTE))


def _moment(moment: dt.datetime) -> str:
    return f"{moment:%H:%M} UTC on {moment:%A}"
