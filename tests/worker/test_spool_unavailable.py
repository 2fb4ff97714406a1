"""A request log that cannot be written: no room, a full disk, and somebody who deletes it."""

import errno
import os
import resource
import shutil

import pytest

from sdm.contract.endings import Ending
from sdm.worker import spool as spools
from sdm.worker.records import MAX_TEXT
from sdm.worker.spool import Run, SpoolUnavailable, held_bytes
from tests.worker.spools import LIMIT, make_log, records, start


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path / "spool")


def fail(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
