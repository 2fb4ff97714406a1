"""The rules that the suite itself obeys: nothing leaves the machine, and nothing is skipped in silence."""

import socket
from types import SimpleNamespace

import pytest

from tests.conftest import _failed_if_skipped
from tests.guard import stays_here


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "", None, b"localhost", "127.9.9.9"]
)
def test_this_machine_is_reached(host):
    assert stays_here(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "10.0.0.1", "example.com", "2001:db8::1", "localhost.example.com"]
)
def test_another_is_not(host):
    assert not stays_here(host)


@pytest.mark.parametrize("attempt", ["connect", "connect_ex"])
def test_a_connection_that_leaves_the_machine_fails_the_test(attempt):
    with socket.socket() as sock, pytest.raises(pytest.fail.Exception, match=r"192\.0\.2\.1"):
        getattr(sock, attempt)(("192.0.2.1", 80))


def test_a_datagram_does_too():
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(pytest.fail.Exception):
        sock.sendto(b"", ("192.0.2.1", 53))


def test_so_does_a_look_up():
    with pytest.raises(pytest.fail.Exception, match=r"example\.com"):
        socket.create_connection(("example.com", 80))


def skipped(reason: str) -> SimpleNamespace:
    return SimpleNamespace(skipped=True, outcome="skipped", longrepr=("file.py", 1, f"Skipped: {reason}"))


def test_a_test_that_cannot_run_has_failed():
    report = _failed_if_skipped(skipped("no chromium here"))
    assert report.outcome == "failed"
    assert "no chromium here" in report.longrepr


def test_a_test_for_the_other_database_may_be_skipped():
    assert _failed_if_skipped(skipped("only on PostgreSQL: trigrams")).outcome == "skipped"


def test_an_expected_failure_is_no_skip():
    report = skipped("known")
    report.wasxfail = "known"
    assert _failed_if_skipped(report).outcome == "skipped"
