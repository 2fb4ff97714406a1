import datetime as dt

import pytest
import time_machine

from ui.cells import ago

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (dt.timedelta(days=7, seconds=-1), "in 7 days"),
        (dt.timedelta(days=6, hours=13), "in 7 days"),
        (dt.timedelta(days=6, hours=11), "in 6 days"),
        (dt.timedelta(days=1, seconds=-1), "in 24 hours"),
        (dt.timedelta(hours=1), "in 1 hour"),
        (dt.timedelta(seconds=59), "just now"),
        (-dt.timedelta(seconds=59), "just now"),
        (-dt.timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (-dt.timedelta(days=7, seconds=-1), "6 days ago"),
    ],
)
def test_a_moment_reads_as_people_would_say_it(distance: dt.timedelta, words: str) -> None:
    with time_machine.travel(NOW, tick=False):
        assert f">{words}</time>" in ago(NOW + distance)
