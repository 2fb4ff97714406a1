import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from clusters.windows import Opening, check_schedule, next_openings

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
