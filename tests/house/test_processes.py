"""What ends when one of ours ends."""

import os
import signal
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


def test_all_end_with_one_that_is_needed_and_it_is_named(ours: Processes, capsys: pytest.CaptureFixture[str]):
    ours.start(*STAYS)
    ours.start("-c", "raise SystemExit(3)").wait()
    ours.wait()
    assert ours.code == 3
    assert (
        capsys.readouterr().err == "console: `python -c raise SystemExit(3)` ended with 3; all of it stops.\n"
    )


def test_nothing_is_said_of_those_that_end_because_we_were_told_to_stop(
    ours: Processes, capsys: pytest.CaptureFixture[str]
):
    ours.start(*ENDS).wait()
    ours.tell(signal.SIGTERM, None)
    ours.wait()
    assert capsys.readouterr().err == ""
