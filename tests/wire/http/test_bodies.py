"""A body ends in one place, and is the same however it is cut."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.http import bodies, heads
from sdm.wire.http.bodies import Body, Chunked, Fixed, UntilClose
from sdm.wire.http.heads import HttpError

CHUNKED = b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Trailer: y\r\n\r\n"


def feed(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes]:
    content, rest = b"", b""
    for piece in pieces:
        if body.is_complete:
            rest += piece
            continue
        found, more = body.feed(piece)
        content += b"".join(found)
        rest += more
    return content, rest


def request(*fields: bytes, minor: int = 1) -> heads.RequestHead:
    return heads.parse_request(b"\r\n".join([b"POST / HTTP/1.%d" % minor, *fields]))


def response(status: int, *fields: bytes) -> heads.ResponseHead:
    return heads.parse_response(b"\r\n".join([b"HTTP/1.1 %d x" % status, *fields]))


@given(st.lists(st.integers(1, len(CHUNKED) + 3), max_size=10))
def test_chunks_are_joined_and_trailers_dropped(cuts: list[int]):
    data = CHUNKED + b"GET"
    places = sorted({0, *cuts, len(data)})
    body = Chunked()
    assert feed(body, [data[a:b] for a, b in itertools.pairwise(places)]) == (
        b"hello world",
        b"GET",
    )
    assert body.is_complete


def test_byte_by_byte_it_is_the_same():
    assert feed(Chunked(), [bytes([byte]) for byte in CHUNKED]) == (b"hello world", b"")


@given(st.lists(st.binary(min_size=1, max_size=100)))
def test_what_is_chunked_here_is_joined_there(pieces: list[bytes]):
    data = b"".join(map(bodies.chunk, pieces)) + bodies.LAST_CHUNK
    assert feed(Chunked(), [data]) == (b"".join(pieces), b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"5 5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\n",
        b"11111111111111111\r\n",
        b"5;\0\r\nhello\r\n",
        b"5" * 300,
        b"0\r\n" + b"x: y\r\n" * 5_000,
    ],
)
def test_framing_that_could_be_read_otherwise_is_refused(data: bytes):
    with pytest.raises(HttpError):
        feed(Chunked(), [data])


@given(st.binary(max_size=300))
def test_garbage_is_a_body_or_an_error_of_ours(data: bytes):
    with contextlib.suppress(HttpError):
        feed(Chunked(), [data])


def test_a_length_is_held_to():
    body = bodies.of_request(request(b"Content-Length: 5"))
    assert feed(body, [b"hel", b"loGET"]) == (b"hello", b"GET")
    assert body.is_complete


def test_a_request_without_length_has_no_body():
    body = bodies.of_request(request())
    assert isinstance(body, Fixed)
    assert body.is_complete


@pytest.mark.parametrize(
    "fields",
    [
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: +5"],
        [b"Content-Length: 0x5"],
        [b"Content-Length: "],
        [b"Content-Length: 9999999999999999999"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding: identity"],
    ],
)
def test_a_request_with_two_ends_is_refused(fields: list[bytes]):
    with pytest.raises(HttpError) as refused:
        bodies.of_request(request(*fields))
    assert refused.value.status in (400, 501)


def test_chunks_are_of_http_1_1_alone():
    with pytest.raises(HttpError):
        bodies.of_request(request(b"Transfer-Encoding: chunked", minor=0))


@pytest.mark.parametrize(
    ("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304), (b"GET", 101), (b"GET", 103)]
)
def test_some_answers_have_no_body_whatever_they_say(method: bytes, status: int):
    body = bodies.of_response(response(status, b"Content-Length: 5"), method)
    assert isinstance(body, Fixed)
    assert body.is_complete


def test_an_answer_without_length_ends_with_the_connection():
    body = bodies.of_response(response(200), b"GET")
    assert isinstance(body, UntilClose)
    assert feed(body, [b"a", b"b"]) == (b"ab", b"")


def test_an_answer_with_two_ends_is_the_site_s_fault():
    with pytest.raises(HttpError) as refused:
        bodies.of_response(response(200, b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"GET")
    assert refused.value.status == 502
