import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.windows import (
    Allowed,
    Opening,
    WindowRule,
    allowed_at,
    check_schedule,
    default_windows,
    expectation,
    next_openings,
)

NOON = dt.datetime(2026, 11, 20, 12, 0, 30, tzinfo=dt.UTC)  # a Friday


def at(day, hour, minute=0):
    return dt.datetime(2026, 11, day, hour, minute, tzinfo=dt.UTC)


def test_adjacent_minutes_are_one_window():
    assert next_openings("* 7 * * 0,6", NOON) == [
        Opening(at(21, 7), at(21, 8)),
        Opening(at(22, 7), at(22, 8)),
        Opening(at(28, 7), at(28, 8)),
    ]


def test_a_window_may_cross_midnight():
    assert next_openings("* 23,0 * * *", NOON, count=1) == [Opening(at(20, 23), at(21, 1))]


def test_a_window_that_is_open_now_comes_first():
    assert next_openings("* 12 * * *", NOON, count=1)[0] == Opening(at(20, 12), at(20, 13))


def test_a_window_of_single_minutes():
    assert next_openings("*/15 * * * *", NOON, count=2) == [
        Opening(at(20, 12), at(20, 12, 1)),
        Opening(at(20, 12, 15), at(20, 12, 16)),
    ]


def test_a_window_that_never_closes_has_no_next_opening():
    assert next_openings("* * * * *", NOON) == []


@given(st.text(max_size=60))
def test_any_text_is_a_schedule_or_a_value_error(text):
    try:
        schedule = check_schedule(text)
    except ValueError:
        return
    for opening in next_openings(schedule, NOON):
        assert opening.opens < opening.closes


RULES = [WindowRule("* 3 * * 6", False), WindowRule("30 12 * * *", True)]


@pytest.mark.parametrize(
    ("windows", "moment", "words"),
    [
        (
            default_windows(7),
            at(20, 12),
            "as soon as it has no connections, at 07:00 UTC on Saturday in any case",
        ),
        (default_windows(7), at(20, 7, 59), "now, with or without connections"),
        (
            RULES,
            at(20, 12),
            "from 12:30 UTC on Friday on when it has no connections, at 03:00 UTC on Saturday in any",
        ),
        (RULES, at(20, 12, 30), "as soon as it has no connections, at 03:00 UTC on Saturday in any case"),
        (RULES, at(21, 2), "at 03:00 UTC on Saturday, with or without connections"),
        (RULES[:1], at(21, 4), "at 03:00 UTC on Saturday, with or without connections"),
        (RULES[1:], at(21, 13), "from 12:30 UTC on Sunday on when it has no connections"),
    ],
)
def test_when_a_worker_restarts_in_words(windows, moment, words):
    assert expectation(windows, moment).startswith(f"restarts {words}")


@given(
    st.lists(
        st.builds(
            WindowRule,
            st.from_regex(r"[0-9*/,-]{1,9} [0-9*/,-]{1,9} \* \* [0-6*,-]{1,5}", fullmatch=True),
            st.booleans(),
        ),
        max_size=3,
    ),
    st.integers(0, 50 * 366 * 24 * 60),
)
def test_whatever_schedules_there_are_they_are_open_or_not(windows, minutes):
    moment = NOON + dt.timedelta(minutes=minutes)
    for window in windows:
        try:
            check_schedule(window.cron_schedule)
        except ValueError:
            return
    found = allowed_at(windows, moment)
    assert (found is Allowed.ANYHOW) == ("restarts now" in expectation(windows, moment))
