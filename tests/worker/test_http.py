"""One request, one answer: what is a request, and what the answer looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.worker.http import MAX_HEAD, UNREADABLE, Exchange, Request

REQUEST = b"GET /liveness?now HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = (404, "Not Found", b"404 Not Found\n")


def test_a_request_is_read_whole_and_byte_by_byte():
    assert Exchange().feed(REQUEST + b"more") == Request("GET", "/liveness?now", ((b"host", b"x"),))
    exchange = Exchange()
    *before, last = [exchange.feed(REQUEST[index : index + 1]) for index in range(len(REQUEST))]
    assert set(before) == {None}
    assert last == Request("GET", "/liveness?now", ((b"host", b"x"),))


def test_the_answer_is_whole_and_the_last():
    exchange = Exchange()
    exchange.feed(REQUEST)
    head, body = exchange.answer(*ANSWER).split(b"\r\n\r\n")
    assert head.splitlines() == [
        b"HTTP/1.1 404 Not Found",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Length: 14",
        b"Cache-Control: no-store",
        b"Connection: close",
    ]
    assert body == b"404 Not Found\n"


def test_head_is_answered_without_the_body():
    exchange = Exchange()
    exchange.feed(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert exchange.answer(*ANSWER).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\n\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * MAX_HEAD,
    ],
)
def test_what_is_no_request_is_answered_as_well(data: bytes):
    exchange = Exchange()
    assert exchange.feed(data) is UNREADABLE
    assert exchange.answer(*ANSWER).startswith(b"HTTP/1.1 404 Not Found\r\n")


@given(st.binary(max_size=200))
def test_nonsense_is_waited_for_or_answered(data: bytes):
    exchange = Exchange()
    if exchange.feed(data) is not None:
        assert exchange.answer(*ANSWER).startswith(b"HTTP/1.1 404 Not Found\r\n")
