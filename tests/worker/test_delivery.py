"""From the spool to the control plane: all of it, in order, and gone from the disk when it is there."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract.reasons import Reason
from sdm.contract.v1 import records_pb2 as pb
from sdm.control_plane.refusals import ControlError
from sdm.worker import delivery as deliveries
from sdm.worker.delivery import READER, Delivery
from sdm.worker.records import RequestLog
from sdm.worker.segments import MAGIC, MAX_RECORD, framed
from sdm.worker.spool import Run, Spool, held_bytes
from sdm.worker.unread import MAX_PORTION, MAX_RECORDS, Unread
from tests.house.checkout import ROOT

CLUSTER = "n-00000000000000c1"


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path)


def make_unread(run, *readers, cluster=CLUSTER):
    unread = Unread(run, readers or (READER,))
    unread.belongs_to(cluster)
    return unread


def make_log(run):
    return RequestLog(Spool(run.path, limit=1 << 26, processes=1))


def leave(run):
    """As if all its processes had died."""
    os.close(run.lock)


def texts(portions):
    return [
        pb.Record.FromString(record).request_started.text
        for portion in portions
        for record in portion.records
    ]


def read_all(unread, reader=READER):
    portions = []
    while (portion := unread.next(reader)) is not None:
        portions.append(portion)
        unread.done(portion, reader)
    return portions


class ControlPlane:
    """Takes portions, or not."""

    def __init__(self):
        self.taken = []
        self.failures = 0
        self.refused = 0

    async def take(self, records):
        if self.failures:
            self.failures -= 1
            self.refused += 1
            raise ControlError(Reason.UNAVAILABLE)
        self.taken += [pb.Record.FromString(record).request_started.text for record in records]


def test_what_is_written_is_read_once_as_it_grows(run):
    unread, session = make_unread(run), make_log(run).session("s-1")
    session.request(b"one")
    session.request(b"two")
    assert texts(read_all(unread)) == [b"one", b"two"]
    assert unread.next(READER) is None
    session.request(b"three")
    assert texts(read_all(unread)) == [b"three"]


def test_what_was_not_delivered_comes_again(run):
    unread, session = make_unread(run), make_log(run).session("s-1")
    session.request(b"one")
    first = unread.next(READER)
    session.request(b"two")
    assert first is not None
    assert texts([first]) == [b"one"]
    assert texts(read_all(unread)) == [b"one", b"two"]


def test_a_segment_is_removed_when_it_is_read_and_nobody_writes_it(run):
    unread, log = make_unread(run), make_log(run)
    log.session("s-1").request(b"one")
    read_all(unread)
    assert len(run.segments()) == 1
    log.close()
    assert run.segments() != []
    read_all(unread)
    assert run.segments() == []


def test_portions_are_bounded(run):
    unread, session = make_unread(run), make_log(run).session("s-1")
    for _ in range(3 * MAX_RECORDS):
        session.request(b"SELECT 1")
    for _ in range(40):
        session.request(b"x" * 60_000)
    portions = read_all(unread)
    assert max(len(portion.records) for portion in portions) == MAX_RECORDS
    assert max(sum(map(len, portion.records)) for portion in portions) <= MAX_PORTION
    assert len(texts(portions)) == 3 * MAX_RECORDS + 40


def test_one_portion_takes_from_every_process(run):
    unread, logs = make_unread(run), [make_log(run) for _ in range(3)]
    for number, log in enumerate(logs):
        log.session(f"s-{number}").request(b"one of %d" % number)
    portion = unread.next(READER)
    assert portion is not None
    assert sorted(texts([portion])) == [b"one of 0", b"one of 1", b"one of 2"]
    unread.done(portion, READER)
    assert unread.next(READER) is None


def test_the_longest_record_finds_its_place_behind_others(run):
    """A whole one of a finished segment is never taken for a torn one because a portion had no room for it."""
    unread, logs = make_unread(run), [make_log(run) for _ in range(12)]
    for log in logs:
        log.spool.write(bytes(MAX_RECORD))
        log.close()
    portions = read_all(unread)
    assert sum(len(portion.records) for portion in portions) == len(logs)
    assert unread.damaged_bytes == 0
    assert run.segments() == []


def test_each_reader_reads_all_and_the_slower_one_keeps_the_segment(run):
    unread, log = make_unread(run, "delivery", "copy"), make_log(run)
    log.session("s-1").request(b"one")
    log.close()
    read_all(unread, "delivery")
    assert run.segments()
    assert texts(read_all(unread, "copy")) == [b"one"]
    assert not run.segments()


def test_a_reader_that_gives_up_keeps_nothing(run):
    unread, log = make_unread(run, "delivery", "copy"), make_log(run)
    log.session("s-1").request(b"one")
    log.close()
    assert unread.skip("copy") > 0
    read_all(unread, "delivery")
    assert not run.segments()


# --- What others have left ----------------------------------------------------------------------


def test_what_a_dead_worker_left_is_delivered_and_its_directory_removed(tmp_path):
    dead = Run.begin(tmp_path)
    make_unread(dead)
    log = make_log(dead)
    log.session("s-1").request(b"left behind")
    log.close()
    leave(dead)
    unread = make_unread(Run.begin(tmp_path))
    unread.look_around()
    assert texts(read_all(unread)) == [b"left behind"]
    assert not dead.path.exists()


def test_what_a_live_worker_writes_is_left_to_it(tmp_path):
    live = Run.begin(tmp_path)
    make_unread(live)
    make_log(live).session("s-1").request(b"mine")
    unread = make_unread(Run.begin(tmp_path))
    unread.look_around()
    assert unread.next(READER) is None
    assert live.segments()


def test_what_another_clusters_worker_left_is_left_to_its_own(tmp_path):
    dead = Run.begin(tmp_path)
    make_unread(dead, cluster="n-00000000000000c2")
    make_log(dead).session("s-1").request(b"theirs")
    leave(dead)
    unread = make_unread(Run.begin(tmp_path))
    unread.look_around()
    assert unread.next(READER) is None
    assert dead.path.exists()


def test_a_run_that_never_joined_is_cleared_away(tmp_path):
    dead = Run.begin(tmp_path)
    leave(dead)
    unread = make_unread(Run.begin(tmp_path))
    unread.look_around()
    assert unread.next(READER) is None
    assert not dead.path.exists()


def test_two_heirs_do_not_both_inherit(tmp_path):
    dead = Run.begin(tmp_path)
    make_unread(dead)
    log = make_log(dead)
    log.session("s-1").request(b"left behind")
    log.close()
    leave(dead)
    heirs = [make_unread(Run.begin(tmp_path)) for _ in range(2)]
    for heir in heirs:
        heir.look_around()
    assert [texts(read_all(heir)) for heir in heirs] == [[b"left behind"], []]


# --- Damage -------------------------------------------------------------------------------------


@given(st.binary(max_size=500), st.integers(0, 60))
def test_a_torn_or_damaged_segment_gives_what_came_before_and_goes(tmp_path_factory, garbage, cut):
    run = Run.begin(tmp_path_factory.mktemp("spool"))
    record = framed(
        pb.Record(session_id="s-1", request_started=pb.RequestStarted(text=b"one")).SerializeToString()
    )
    (run.path / "00000001-abcd.log").write_bytes(
        MAGIC + record + (record + garbage)[: len(record) + len(garbage) - cut]
    )
    unread = make_unread(run)
    assert texts(read_all(unread))[0] == b"one"
    assert not run.segments()
    run.remove()


@pytest.mark.parametrize("data", [b"", MAGIC[:3], MAGIC, MAGIC + b"\0" * 4096, b"\xff" * 4096], ids=repr)
def test_a_segment_without_a_record_goes(run, data):
    (run.path / "00000001-abcd.log").write_bytes(data)
    assert make_unread(run).next(READER) is None
    assert not run.segments()


def test_what_is_lost_to_damage_is_said(run, caplog):
    record = framed(b"x")
    (run.path / "00000001-abcd.log").write_bytes(MAGIC + record + record[:-1])
    unread = make_unread(run)
    read_all(unread)
    assert unread.damaged_bytes == len(record) - 1
    assert "are no record" in caplog.text


@given(st.integers(0, 40), st.integers(0), st.integers(1, 255), st.sampled_from([50, 60_000]))
def test_damage_costs_one_record_and_the_file_is_kept(tmp_path_factory, number, at, flip, size):
    run = Run.begin(tmp_path_factory.mktemp("spool"))
    wanted = [b"%d" % each + bytes(size) for each in range(41)]
    frames = [
        framed(pb.Record(request_started=pb.RequestStarted(text=text)).SerializeToString()) for text in wanted
    ]
    data = bytearray(MAGIC + b"".join(frames))
    data[len(MAGIC) + sum(map(len, frames[:number])) + at % len(frames[number])] ^= flip
    (run.path / "00000001-abcd.log").write_bytes(data)
    unread = make_unread(run)
    assert texts(read_all(unread)) == wanted[:number] + wanted[number + 1 :]
    assert unread.damaged_bytes == len(frames[number])
    # At the end it is as if the writer had been killed.
    kept = [path.read_bytes() for path in run.path.parent.glob("*.damaged")]
    assert kept == ([bytes(data)] if number < 40 else [])
    assert not run.segments()


def test_many_damaged_places_in_one_file_do_not_hide_what_stands_between(run):
    whole = framed(pb.Record(request_started=pb.RequestStarted(text=b"whole")).SerializeToString())
    (run.path / "00000001-abcd.log").write_bytes(MAGIC + (b"\xff" * 7 + whole) * 3_000)
    assert texts(read_all(make_unread(run))) == [b"whole"] * 3_000


def test_a_directory_that_somebody_removed_is_there_again(run, monkeypatch, caplog):
    monkeypatch.setattr("sdm.worker.spool._LOOK_EVERY", 0)
    unread, log = make_unread(run), make_log(run)
    log.session("s-1").request(b"gone")
    shutil.rmtree(run.path)
    assert unread.next(READER) is None
    assert "Somebody removed" in caplog.text
    log.session("s-1").request(b"after it")
    assert texts(read_all(unread)) == [b"after it"]
    # It is held as before: nobody takes it over.
    assert Run.take(run.path) is None


# --- Over the link ------------------------------------------------------------------------------


def deliver(unread, plane, monkeypatch, until):
    monkeypatch.setattr(deliveries, "_LOOK_EVERY", 0.005)
    monkeypatch.setattr(deliveries, "Pauses", NoPauses)

    async def play():
        delivery = Delivery(unread, plane.take)
        task = asyncio.create_task(delivery.keep())
        async with asyncio.timeout(10):
            while not until():  # noqa: ASYNC110  # it looks at files
                await asyncio.sleep(0.005)
        task.cancel()
        return delivery

    return asyncio.run(play())


class NoPauses:
    def take(self):
        return 0.001

    def reset(self):
        pass


def test_a_control_plane_that_is_away_gets_all_of_it_when_it_is_back(run, monkeypatch):
    unread, plane, session = make_unread(run), ControlPlane(), make_log(run).session("s-1")
    plane.failures = 20
    wanted = [b"query %d" % number for number in range(100)]
    for text in wanted:
        session.request(text)
    delivery = deliver(unread, plane, monkeypatch, lambda: len(plane.taken) >= 100)
    assert plane.taken == wanted
    assert plane.refused == 20
    assert delivery.records == 100


def test_as_soon_as_it_is_heard_again_nothing_waits_any_longer(run, monkeypatch):
    class LongPauses(NoPauses):
        def take(self):
            return 1_000

    monkeypatch.setattr(deliveries, "Pauses", LongPauses)
    unread, plane = make_unread(run), ControlPlane()
    plane.failures = 1
    make_log(run).session("s-1").request(b"one")

    async def play():
        delivery = Delivery(unread, plane.take)
        task = asyncio.create_task(delivery.keep())
        async with asyncio.timeout(10):
            while not plane.taken:
                await asyncio.sleep(0.005)
                if plane.refused:
                    delivery.hurry()
        task.cancel()

    asyncio.run(play())
    assert plane.taken == [b"one"]


def test_while_it_is_away_an_operator_is_told(run, monkeypatch):
    monkeypatch.setattr(deliveries, "_SAY_AFTER", 0.0)
    unread, plane = make_unread(run), ControlPlane()
    plane.failures = 1_000_000
    make_log(run).session("s-1").request(b"one")
    delivery = deliver(unread, plane, monkeypatch, lambda: plane.refused > 1)
    assert "could not be delivered" in delivery.problem


def test_a_writer_that_is_killed_again_and_again_loses_nothing_and_nothing_stays(run, monkeypatch):
    code = """
import sys
from pathlib import Path
from sdm.worker.records import RequestLog
from sdm.worker.spool import Spool
session = RequestLog(Spool(Path(sys.argv[1]), limit=1 << 26, processes=1)).session("s-1")
number = 0
while True:
    number += 1
    session.request(b"%s %d" % (sys.argv[2].encode(), number) + b" " * 2000)
    print(number, flush=True)
"""
    unread, plane, said = make_unread(run), ControlPlane(), {}
    for life in range(3):
        command = [sys.executable, "-c", code, str(run.path), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
            assert child.stdout is not None
            for _ in range(200):
                said[life] = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
    deliver(unread, plane, monkeypatch, lambda: not run.segments())
    for life, last in said.items():
        numbers = [int(text.split()[1]) for text in plane.taken if text.startswith(b"%d " % life)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= last
    assert held_bytes(run.path.parent) == 0
