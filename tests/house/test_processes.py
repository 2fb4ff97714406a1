"""What ends when one of ours ends."""

import os
from collections.abc import Iterator

import pytest

from console.processes import Processes

ENDS, STAYS = ("-c", ""), ("-c", "import time; time.sleep(60)")


@pytest.fixture
def ours() -> Iterator[Processes]:
    with open(os.devnull) as lock:
        ours = Processes(lock.fileno())
        yield ours
        ours.stop()


def test_one_that_is_not_needed_ends_alone_and_is_ended_with_the_others(ours: Processes):
    ours.start(*STAYS)
    ours.start(*ENDS, needed=False).wait()
    other = ours.start(*STAYS, needed=False)
    assert ours.run_on
    ours.stop()
    assert other.poll() is not None


def test_all_end_with_one_that_is_needed(ours: Processes):
    ours.start(*STAYS)
    ours.start("-c", "raise SystemExit(3)").wait()
    ours.wait()
    assert ours.code == 3
