"""The request log on disk: what a process wrote is there, however it ended, and no more than there is room for."""

import hashlib
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract.endings import Ending
from sdm.contract.parameters import MAX_BYTES, MAX_VALUES, NO_PARAMETERS, Parameters
from sdm.contract.records import digest_of, parameters_of
from sdm.contract.v1 import records_pb2 as pb
from sdm.worker import spool as spools
from sdm.worker.records import MAX_TEXT
from sdm.worker.segments import MAX_RECORD, divide, framed
from sdm.worker.spool import Run
from tests.house.checkout import ROOT
from tests.worker.spools import make_log, records, start


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path / "spool")


# --- Sessions -----------------------------------------------------------------------------------


def test_a_session_from_beginning_to_end(run):
    session = make_log(run).session("s-1")
    start(session)
    first = session.request(b"SELECT 1")
    session.completed(first, rows=1, bytes_sent=14, bytes_received=70, result="SELECT 1")
    second = session.request(b"SELECT 2", parameters=Parameters((b"a", b"b"), False, 2))
    session.completed(second, error="42P01")
    session.ended(Ending.CLIENT_LEFT, bytes_sent=100, bytes_received=200)
    started, one, two, one_done, two_done, ended = records(run)
    assert started.session_started.client_address == "192.0.2.7"
    assert (one.request_started.number, one.request_started.text) == (1, b"SELECT 1")
    assert one.request_started.text_length == 8
    assert digest_of(one.request_started) == hashlib.sha256(b"SELECT 1").digest()
    assert one_done.request_completed.rows == 1
    assert list(two.request_started.parameters) == [b"a", b"b"]
    assert not two_done.request_completed.HasField("rows")
    assert two_done.request_completed.error == "42P01"
    assert two_done.request_completed.result == ""
    assert ended.session_ended == pb.SessionEnded(
        reason="client-left",
        message=Ending.CLIENT_LEFT.sentence,
        requests=2,
        bytes_sent=100,
        bytes_received=200,
    )
    assert {record.session_id for record in records(run)} == {"s-1"}


def test_a_request_is_on_disk_when_it_may_go_on_and_what_was_completed_with_the_next_flush(run):
    log = make_log(run)
    session = log.session("s-1")
    first = session.request(b"SELECT 1")
    assert len(records(run)) == 1
    assert log.is_idle
    session.completed(first)
    assert not log.is_idle
    session.request(b"SELECT 2")
    assert len(records(run)) == 2
    log.flush()
    assert [record.WhichOneof("record") for record in records(run)] == [
        "request_started",
        "request_started",
        "request_completed",
    ]


def test_what_was_completed_is_written_before_the_end_and_when_the_log_is_closed(run):
    log = make_log(run)
    session = log.session("s-1")
    session.completed(session.request(b"SELECT 1"))
    session.ended(Ending.CLIENT_LEFT)
    assert [record.WhichOneof("record") for record in records(run)][1:] == [
        "request_completed",
        "session_ended",
    ]
    session.completed(session.request(b"SELECT 2"))
    log.close()
    assert records(run)[-1].WhichOneof("record") == "request_completed"


def test_what_was_completed_is_not_collected_without_end(run):
    log = make_log(run)
    session = log.session("s-1")
    begun = session.request(b"SELECT 1")
    for _ in range(3_500):
        session.completed(begun)
    assert len(records(run)) == 1 + 3_000


def test_a_long_text_is_cut_and_its_hash_is_of_all(run):
    session = make_log(run).session("s-1")
    session.request(b"x" * (MAX_TEXT + 1))
    request = records(run)[0].request_started
    assert (len(request.text), request.text_length) == (MAX_TEXT, MAX_TEXT + 1)
    assert request.sha256 == hashlib.sha256(b"x" * (MAX_TEXT + 1)).digest()


def test_of_a_text_that_is_not_there_yet_the_hash_comes_later(run):
    session = make_log(run).session("s-1")
    number = session.request(b"INSERT", length=1_000_000)
    session.completed(number, digest=b"d" * 32)
    session.completed(session.request(b"SELECT 1"))
    session.ended(Ending.CLIENT_LEFT)
    one, _, done, other_done, _ = records(run)
    assert (one.request_started.text_length, digest_of(one.request_started)) == (1_000_000, b"")
    assert done.request_completed.sha256 == b"d" * 32
    assert other_done.request_completed.sha256 == b""


def test_parameters_are_read_as_they_were_written(run):
    session = make_log(run).session("s-1")
    told = (
        Parameters((b"a", None, b"NULL", b""), False, 4),
        NO_PARAMETERS,
        Parameters((None, b"x" * 100), True, 1_200, 100_000),
        Parameters((b"1",), False, 1),
        NO_PARAMETERS,
    )
    for parameters in told:
        session.request(b"SELECT $1", parameters=parameters)
    assert tuple(parameters_of(record.request_started) for record in records(run)) == told


def test_the_longest_request_is_a_record(run):
    session = make_log(run).session("s-1")
    values = tuple(b"x" * (MAX_BYTES // MAX_VALUES) for _ in range(MAX_VALUES))
    session.request(b"x" * (MAX_TEXT + 1), parameters=Parameters(values, True, 65_535, 2**30))
    session.request(b"x" * MAX_TEXT, parameters=Parameters((None,) * MAX_VALUES, True, 65_535))
    assert all(len(record.SerializeToString()) < MAX_RECORD for record in records(run))


def test_what_an_older_worker_says_of_parameters_is_read():
    old = pb.RequestStarted(parameters=[b"a", b"NULL"], parameters_cut=True)
    assert parameters_of(old) == Parameters((b"a", b"NULL"), True)


def test_the_end_is_said_once(run):
    session = make_log(run).session("s-1")
    session.ended(Ending.SUSPENDED)
    session.ended(Ending.CLIENT_LOST)
    assert [record.session_ended.reason for record in records(run)] == ["suspended"]


# --- Segments -----------------------------------------------------------------------------------


def test_segments_are_begun_anew_and_only_the_last_is_held(run):
    log = make_log(run)
    session = log.session("s-1")
    for _ in range(60):
        session.request(b"x" * MAX_TEXT)
    segments = run.segments()
    assert len(segments) > 1
    assert all(path.stat().st_size <= log.spool.segment_bytes for path in segments)
    free = []
    for path in segments:
        with path.open() as file:
            free.append(spools.try_lock(file.fileno()))
    assert free == [True] * (len(segments) - 1) + [False]


def test_a_run_is_taken_over_only_when_all_its_processes_are_gone(tmp_path):
    mine = Run.begin(tmp_path)
    assert Run.take(mine.path) is None
    inherited = os.dup(mine.lock)
    os.close(mine.lock)
    assert Run.take(mine.path) is None
    os.close(inherited)
    assert Run.take(mine.path) is not None


def test_the_directory_is_for_nobody_else(tmp_path):
    run = Run.begin(tmp_path / "state" / "spool")
    make_log(run).session("s-1").request(b"SELECT 'secret'")
    assert run.path.parent.stat().st_mode & 0o777 == 0o700
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert run.segments()[0].stat().st_mode & 0o777 == 0o600


def test_a_run_is_removed_with_what_was_never_finished(tmp_path):
    run = Run.begin(tmp_path)
    (run.path / "00000001-abcd.new").touch()
    run.remove()
    assert not list(tmp_path.iterdir())


@given(st.lists(st.binary(min_size=1, max_size=200)), st.integers(0, 500))
def test_of_a_torn_segment_everything_before_the_tear_is_read(written, cut):
    data = b"".join(map(framed, written))
    torn = data[: max(0, len(data) - cut)]
    piece = divide(torn)
    assert piece.records == written[: len(piece.records)]
    assert not piece.is_damaged
    assert piece.length <= len(torn)
    assert len(torn) - piece.length < 208


@given(st.lists(st.binary(min_size=1, max_size=50)), st.binary(max_size=300))
def test_garbage_is_never_a_record(written, garbage):
    data = b"".join(map(framed, written))
    piece = divide(data + garbage)
    assert piece.records[: len(written)] == written
    # A checksum of 32 bits is not met by chance, but hypothesis may find a real record.
    assert all(framed(record) in garbage for record in piece.records[len(written) :])


@pytest.mark.parametrize(
    "rest", [bytes(8), framed(b"x")[:-1] + b"y", b"\xff" * 8], ids=["zeros", "changed", "long"]
)
def test_damage_is_told_from_what_is_not_finished(rest):
    piece = divide(framed(b"one") + rest)
    assert (piece.records, piece.is_damaged) == ([b"one"], True)


def test_a_process_that_is_killed_in_the_middle_leaves_all_that_it_said(run):
    code = """
import sys
from pathlib import Path
from sdm.worker.records import RequestLog
from sdm.worker.spool import Spool
session = RequestLog(Spool(Path(sys.argv[1]), limit=1 << 26, processes=1)).session("s-1")
while True:
    print(session.request(b"x" * 3000)[0], flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    said = [int(child.stdout.readline()) for _ in range(500)]
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate(timeout=20)
    # Killed in the middle, it may have said a number in part.
    said += [int(line) for line in rest.splitlines(keepends=True) if line.strip() and line.endswith("\n")]
    numbers = [record.request_started.number for record in records(run)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= said[-1]
