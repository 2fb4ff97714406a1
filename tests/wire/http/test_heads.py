"""Heads are read one way or not at all."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.http import heads
from sdm.wire.http.heads import MAX_HEAD, HeadReader, HttpError

REQUEST = b"GET /orders?id=1 HTTP/1.1\r\nHost: 127.0.0.1:10001\r\nAccept:*/*\r\n\r\n"


def read(data: bytes) -> bytes | None:
    return HeadReader().feed(data)


def test_a_request_is_read_and_what_follows_is_kept():
    reader = HeadReader()
    head = reader.feed(REQUEST + b"body")
    assert head is not None
    request = heads.parse_request(head)
    assert (request.method, request.target, request.minor) == (b"GET", b"/orders?id=1", 1)
    assert request.fields.items == [(b"host", b"127.0.0.1:10001"), (b"accept", b"*/*")]
    assert reader.rest == b"body"


@given(st.lists(st.integers(1, len(REQUEST) - 1), max_size=8))
def test_it_does_not_matter_how_it_is_cut(cuts: list[int]):
    reader, places = HeadReader(), sorted({0, *cuts, len(REQUEST)})
    found = [reader.feed(REQUEST[a:b]) for a, b in itertools.pairwise(places)]
    assert found[-1] == REQUEST[:-4]
    assert not any(found[:-1])


def test_byte_by_byte_it_is_the_same():
    reader = HeadReader()
    found = [reader.feed(bytes([byte])) for byte in REQUEST]
    assert found[-1] == REQUEST[:-4]


def test_an_endless_head_is_refused_before_it_fills_memory():
    reader = HeadReader()
    with pytest.raises(HttpError) as refused:
        for _ in range(MAX_HEAD):
            reader.feed(b"x" * 1024)
    assert refused.value.status == 431


CLIENT_HELLO = bytes.fromhex("16030100ca010000c60303") + bytes(50)


@pytest.mark.parametrize(
    "data",
    [
        CLIENT_HELLO,
        b"\0",
        b" GET / HTTP/1.1\r\n",
        b"\n",
        b"\rG",
        b"\r\n\n",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\r\nHost: x\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_what_becomes_no_head_is_refused_without_waiting_for_its_end(data: bytes, bytewise: bool):
    reader = HeadReader()
    pieces = [bytes([byte]) for byte in data] if bytewise else [data]
    with pytest.raises(HttpError) as refused:
        for piece in pieces:
            assert reader.feed(piece) is None
    assert refused.value.status == 400


def test_who_speaks_tls_is_told_that_this_is_http():
    with pytest.raises(HttpError, match="TLS"):
        HeadReader().feed(CLIENT_HELLO)


@pytest.mark.parametrize("end", range(len(b"\r\n" + REQUEST)))
def test_half_a_head_is_waited_for(end: int):
    assert HeadReader().feed((b"\r\n" + REQUEST)[:end]) is None


def test_too_many_fields_are_refused():
    with pytest.raises(HttpError, match="too many"):
        heads.parse_request(b"GET / HTTP/1.1" + b"\r\nx: y" * (heads.MAX_FIELDS + 1))


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: x",
        b"GET / HTTP/1.1\r\nHost : x",
        b"GET / HTTP/1.1\r\n Host: x",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded",
        b"GET / HTTP/1.1\r\nHost: x\0",
        b"GET / HTTP/1.1\r\nHost: x\ry",
        b"GET / HTTP/1.1\r\n: x",
        b"GET / HTTP/1.1\r\nHost",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /a b HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"GET /",
        b"\x16\x03\x01",
        b"",
    ],
)
def test_what_another_reader_could_read_otherwise_is_refused(head: bytes):
    with pytest.raises(HttpError) as refused:
        heads.parse_request(head)
    assert refused.value.status == 400


def test_other_versions_are_refused_by_name():
    with pytest.raises(HttpError) as refused:
        heads.parse_request(b"GET / HTTP/2.0")
    assert refused.value.status == 505


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"HTTP/1.1 200 OK", 200, b"OK"),
        (b"HTTP/1.1 204 ", 204, b""),
        (b"HTTP/1.0 404", 404, b""),
        (b"HTTP/1.1 299 Schr\xc3\xb6der", 299, b"Schr\xc3\xb6der"),
    ],
)
def test_a_status_line_may_have_a_reason_or_none(head: bytes, status: int, reason: bytes):
    response = heads.parse_response(head)
    assert (response.status, response.reason) == (status, reason)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 20 OK", b"HTTP/1.1 0200 OK", b"HTTP/3 200 OK", b"220 ready", b""]
)
def test_what_is_no_status_line_is_the_site_s_fault(head: bytes):
    with pytest.raises(HttpError) as refused:
        heads.parse_response(head)
    assert refused.value.status == 502


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", b"/"),
        (b"/a//b/%2e%2e/c;d?e=/f", b"/a//b/%2e%2e/c;d?e=/f"),
        (b"http://other.example/path?q", b"/path?q"),
        (b"HTTPS://other.example", b"/"),
        (b"https://other.example?q", b"/?q"),
        (b"*", b"*"),
    ],
)
def test_a_target_is_a_path_whoever_it_names(target: bytes, path: bytes):
    assert heads.origin_form(target) == path


@pytest.mark.parametrize("target", [b"other.example:443", b"ftp://x/", b"/a#b", b"a"])
def test_what_is_no_path_is_refused(target: bytes):
    with pytest.raises(HttpError):
        heads.origin_form(target)


@pytest.mark.parametrize(
    ("minor", "connection", "keeps"),
    [
        (1, b"", True),
        (1, b"Close", False),
        (0, b"", False),
        (0, b"keep-alive", True),
        (1, b"x, close", False),
    ],
)
def test_who_closes_is_said_by_version_and_connection(minor: int, connection: bytes, keeps: bool):
    fields = b"\r\nconnection: " + connection if connection else b""
    assert heads.parse_request(b"GET / HTTP/1.%d" % minor + fields).keeps_alive is keeps


token = st.from_regex(rb"[!#$%&'*+.^_`|~0-9a-z-]{1,20}", fullmatch=True)
value = st.from_regex(rb"([\x21-\x7e]([\x20-\x7e]{0,20}[\x21-\x7e])?)?", fullmatch=True)


@given(token, st.lists(st.tuples(token, value), max_size=10))
def test_what_is_written_is_read_as_it_was(method: bytes, items: list[tuple[bytes, bytes]]):
    head = read(heads.request_bytes(method, b"/x", items))
    assert head is not None
    request = heads.parse_request(head)
    assert (request.method, request.fields.items) == (method, items)


@given(st.binary(max_size=300))
def test_garbage_is_a_head_or_an_error_of_ours(data: bytes):
    for parse in (heads.parse_request, heads.parse_response):
        with contextlib.suppress(HttpError):
            parse(data)
