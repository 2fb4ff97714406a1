"""The request log on disk: what a process wrote is there, however it ended, and no more than there is room for."""

import errno
import hashlib
import os
import resource
import shutil
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
from sdm.worker.records import MAX_TEXT, RequestLog
from sdm.worker.segments import MAGIC, MAX_RECORD, divide, framed
from sdm.worker.spool import Run, Spool, SpoolUnavailable, held_bytes
from tests.house.checkout import ROOT

LIMIT = 1 << 24


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path / "spool")


def make_log(run, **changes):
    return RequestLog(Spool(run.path, **{"limit": LIMIT, "processes": 1} | changes))


def records(run):
    found = []
    for path in run.segments():
        data = path.read_bytes()
        assert data.startswith(MAGIC)
        found += divide(data[len(MAGIC) :]).records
    return [pb.Record.FromString(record) for record in found]


def start(session):
    session.started(
        account_id="a-1", resource_id="rs-1", kind="postgres", worker_id="w-1", client_address="192.0.2.7"
    )


def fail(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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


# --- When it cannot be written ------------------------------------------------------------------


def test_a_full_spool_refuses_requests_and_still_says_how_sessions_ended(run):
    log = make_log(run, processes=2)
    session = log.session("s-1")
    with pytest.raises(SpoolUnavailable, match="SDM_SPOOL_BYTES"):
        for _ in range(1_000):
            begun = session.request(b"x" * MAX_TEXT)
    held = held_bytes(run.path.parent)
    session.completed(begun)
    session.ended(Ending.LOG_UNAVAILABLE)
    assert records(run)[-1].session_ended.reason == "log-unavailable"
    assert records(run)[-1].session_ended.requests == begun[0]
    with pytest.raises(SpoolUnavailable):
        start(log.session("s-2"))
    assert held <= held_bytes(run.path.parent) <= LIMIT
    assert "Sessions are refused" in log.problem


def test_what_other_runs_left_counts(tmp_path):
    other, mine = Run.begin(tmp_path), Run.begin(tmp_path)
    (other.path / "00000001-abcd.log").write_bytes(bytes(LIMIT))
    with pytest.raises(SpoolUnavailable):
        make_log(mine).session("s-1").request(b"SELECT 1")


def test_it_goes_on_when_there_is_room_again_though_nobody_asks(run, monkeypatch, caplog):
    monkeypatch.setattr(spools, "_LOOK_EVERY", 0)
    blocker = run.path / "00000000-blocker.log"
    blocker.write_bytes(bytes(LIMIT))
    log = make_log(run)
    with pytest.raises(SpoolUnavailable):
        start(log.session("s-1"))
    log.flush()
    assert log.problem
    blocker.unlink()
    log.flush()
    assert not log.problem
    start(log.session("s-2"))
    assert "can be written again" in caplog.text


def test_it_looks_for_room_though_it_is_called_more_often_than_it_may_look(run, monkeypatch):
    blocker, now = run.path / "00000000-blocker.log", [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    blocker.write_bytes(bytes(LIMIT))
    log = make_log(run)
    with pytest.raises(SpoolUnavailable):
        log.session("s-1").request(b"SELECT 1")
    blocker.unlink()
    for _ in range(60):  # as the relay does
        now[0] += 0.005
        log.flush()
    assert log.problem == ""
    assert log.session("s-2").request(b"SELECT 2")


def test_who_writes_much_is_slowed_down_while_there_is_little_room_and_others_are_not(run, monkeypatch):
    blocker, now = run.path / "00000000-blocker.log", [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    blocker.write_bytes(bytes(LIMIT * 5 // 8))
    log = make_log(run)
    much, little = log.session("s-1"), log.session("s-2")
    for _ in range(10):
        much.request(b"x" * 60_000)
        little.request(b"SELECT 1")
    # Three quarters of a megabyte a second.
    assert 0.7 < much.pause < 0.9
    assert little.pause < 0.01
    blocker.unlink()
    now[0] += 1
    little.request(b"SELECT 1")
    much.request(b"x" * 60_000)
    assert much.pause == 0


def test_nothing_is_looked_for_at_each_request_while_it_is_full(run, monkeypatch):
    (run.path / "00000000-blocker.log").write_bytes(bytes(LIMIT))
    session = make_log(run).session("s-1")
    looks = []

    def held(directory):
        looks.append(directory)
        return LIMIT

    monkeypatch.setattr(spools, "held_bytes", held)
    for _ in range(100):
        with pytest.raises(SpoolUnavailable, match="SDM_SPOOL_BYTES"):
            session.request(b"SELECT 1")
    assert len(looks) <= 2


def test_it_is_noticed_when_somebody_deletes_the_files(run, monkeypatch, caplog):
    log, now = make_log(run), [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    session = log.session("s-1")
    for _ in range(3):
        session.request(b"SELECT 'before'")
    for path in run.segments():
        path.unlink()
    now[0] += 0.3
    session.request(b"SELECT 'after'")
    assert [record.request_started.text for record in records(run)] == [b"SELECT 'after'"]
    assert log.lost == 3
    assert "up to 3 records" in caplog.text


def test_without_its_directory_nothing_goes_on(run, monkeypatch):
    log, now = make_log(run), [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log.session("s-1").request(b"SELECT 1")
    shutil.rmtree(run.path)
    now[0] += 0.3
    with pytest.raises(SpoolUnavailable, match="No such file or directory"):
        log.session("s-1").request(b"SELECT 2")
    run.restore()
    now[0] += 0.3
    log.flush()
    log.session("s-1").request(b"SELECT 3")
    assert [record.request_started.text for record in records(run)] == [b"SELECT 3"]


def test_a_full_disk_leaves_no_half_record(run, monkeypatch):
    monkeypatch.setattr(spools, "_LOOK_EVERY", 0)
    log = make_log(run)
    session = log.session("s-1")
    session.request(b"SELECT 1")
    real = os.write
    with monkeypatch.context() as patch, pytest.raises(SpoolUnavailable, match="No space left"):
        patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[: len(data) // 2]))
        session.request(b"SELECT 2")
    session.request(b"SELECT 3")
    assert [record.request_started.text for record in records(run)] == [b"SELECT 1", b"SELECT 3"]
    assert session.requests == 2


def test_what_was_completed_on_a_full_disk_is_kept_and_of_too_much_the_oldest_is_given_up(run, monkeypatch):
    monkeypatch.setattr(spools, "_LOOK_EVERY", 0)
    log = make_log(run)
    session = log.session("s-1")
    number = session.request(b"SELECT 1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        session.completed(number, result="kept")
        log.flush()
        assert "No space left" in log.problem
        for _ in range(1_000):
            log.session("s-2").ended(Ending.LOG_UNAVAILABLE, "x" * 500)
    assert log.lost > 300
    log.flush()
    assert log.problem == ""
    assert len(records(run)) > 300
    assert records(run)[-1].session_ended.reason == "log-unavailable"


def test_what_is_not_in_a_relaxed_log_has_no_end_there(run, monkeypatch):
    monkeypatch.setattr(spools, "_LOOK_EVERY", 0)
    log = make_log(run, strict=False)
    session = log.session("s-1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        begun = session.request(b"SELECT 1")
        session.completed(begun, result="SELECT 1")
    session.completed(session.request(b"SELECT 2"), result="SELECT 1")
    log.flush()
    kinds = [record.WhichOneof("record") for record in records(run)]
    assert [kind.split("_")[-1] for kind in kinds] == ["started", "completed"]
    assert (log.lost, session.requests) == (1, 2)


def test_a_limit_of_the_system_is_heard_like_a_full_disk(run):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    session = make_log(run).session("s-1")
    session.request(b"SELECT 1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (run.segments()[0].stat().st_size + 10, before[1]))
    try:
        with pytest.raises(SpoolUnavailable):
            session.request(b"SELECT 2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [record.request_started.text for record in records(run)] == [b"SELECT 1"]


def test_relaxed_operation_goes_on_loudly(run, monkeypatch, caplog):
    log = make_log(run, strict=False)
    session = log.session("s-1")
    session.request(b"SELECT 1")
    monkeypatch.setattr(os, "write", fail)
    session.request(b"SELECT 2")
    session.request(b"SELECT 3")
    assert log.lost == 2
    assert "WITHOUT a log" in log.problem
    assert caplog.text.count("WITHOUT a log") == 1


def test_a_directory_that_is_gone_is_a_reason_too(tmp_path):
    run = Run.begin(tmp_path / "spool")
    log = make_log(run)
    run.remove()
    with pytest.raises(SpoolUnavailable, match="No such file"):
        start(log.session("s-1"))
