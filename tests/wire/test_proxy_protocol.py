"""PROXY headers: whole, byte by byte, cut off, too long, nonsense, and as real balancers send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.proxy_protocol import (
    MAX_V1_LENGTH,
    MAX_V2_PAYLOAD,
    V1_SIGNATURE,
    V2_SIGNATURE,
    Endpoint,
    Header,
    ProxyProtocolError,
    Reader,
    begins_like_a_header,
    is_header,
)

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.9 51234 443\r\n"
V1_HEADER = Header(Endpoint("192.0.2.7", 51234), Endpoint("198.51.100.9", 443))
V1_IPV6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"


def v2(command: int = 0x21, family: int = 0x11, payload: bytes = b"", length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return V2_SIGNATURE + bytes([command, family]) + size.to_bytes(2) + payload


TCP4 = bytes([192, 0, 2, 7, 198, 51, 100, 9]) + (51234).to_bytes(2) + (443).to_bytes(2)
TCP6 = bytes.fromhex("20010db8000000000000000000000001" * 2) + (1).to_bytes(2) + (2).to_bytes(2)
# With the values that Amazon's network load balancer appends: CRC32C, padding, and its endpoint's id.
AMAZON = v2(payload=TCP4 + bytes.fromhex("030004a9b87e8f" + "040006000000000000" + "ea000501766370652d"))
NOBODY = Header(None, None)

GOOD = {
    "v1": (V1, V1_HEADER),
    "v1 IPv6": (V1_IPV6, Header(Endpoint("2001:db8::1", 1), Endpoint("2001:db8::2", 65535))),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", NOBODY),
    "v1 unknown with words": (b"PROXY UNKNOWN ffff:f::f ffff:f::f 65535 65535\r\n", NOBODY),
    "v2": (v2(payload=TCP4), V1_HEADER),
    "v2 IPv6": (
        v2(family=0x21, payload=TCP6),
        Header(Endpoint("2001:db8::1", 1), Endpoint("2001:db8::1", 2)),
    ),
    "v2 local": (v2(command=0x20, family=0), NOBODY),
    "v2 local with addresses": (v2(command=0x20, payload=TCP4), NOBODY),
    "v2 Amazon": (AMAZON, V1_HEADER),
}
good = pytest.mark.parametrize(("data", "header"), GOOD.values(), ids=GOOD)

BAD = {
    "something else": b"GET / HTTP/1.1\r\n",
    "a ClientHello": b"\x16\x03\x01\x02\x00",
    "lower case": b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "UDP": b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "too few words": b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "two spaces": b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "other family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "a name": b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n",
    "a large port": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    "a signed port": b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
    "a leading zero": b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    "not ASCII": b"PROXY TCP4 1.2.3.\xb2 1.2.3.4 1 2\r\n",
    "no end": b"PROXY " + b"x" * MAX_V1_LENGTH,
    "a late end": b"PROXY UNKNOWN " + b"x" * MAX_V1_LENGTH + b"\r\n",
    "v2 of version 3": v2(command=0x31, payload=TCP4),
    "v2 unknown command": v2(command=0x22, payload=TCP4),
    "v2 UDP": v2(family=0x12, payload=TCP4),
    "v2 for nobody": v2(family=0x00, payload=TCP4),
    "v2 too short": v2(payload=TCP4[:-1]),
    "v2 IPv4 as IPv6": v2(family=0x21, payload=TCP4),
    "v2 too long": v2(payload=TCP4, length=MAX_V2_PAYLOAD + 1),
}


@good
def test_a_whole_header_is_read_and_what_follows_is_left(data: bytes, header: Header):
    for rest in (b"", b"\x16\x03\x01", V1):
        reader = Reader()
        assert reader.feed(data + rest) == header
        assert reader.rest == rest


@good
def test_byte_by_byte_it_is_the_same(data: bytes, header: Header):
    reader = Reader()
    *before, last = [reader.feed(data[index : index + 1]) for index in range(len(data))]
    assert before == [None] * (len(data) - 1)
    assert last == header


@good
def test_cut_off_anywhere_it_waits_for_more(data: bytes, header: Header):
    for cut in range(len(data)):
        reader = Reader()
        assert reader.feed(data[:cut]) is None
        assert reader.feed(data[cut:]) == header


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused(data: bytes):
    with pytest.raises(ProxyProtocolError):
        Reader().feed(data)


def test_a_line_of_the_greatest_length_is_read():
    line = b"PROXY UNKNOWN " + b"x" * (MAX_V1_LENGTH - 16) + b"\r\n"
    assert len(line) == MAX_V1_LENGTH
    assert Reader().feed(line) == NOBODY


@given(
    st.binary(max_size=300), st.sampled_from([b"", V1_SIGNATURE, V2_SIGNATURE, V2_SIGNATURE + b"\x21\x11"])
)
def test_nonsense_is_refused_or_waited_for_and_never_more(data: bytes, begin: bytes):
    reader = Reader()
    try:
        header = reader.feed(begin + data)
    except ProxyProtocolError:
        return
    assert header is not None or len(begin + data) < 16 + MAX_V2_PAYLOAD


@given(st.ip_addresses(), st.integers(0, 65535), st.integers(0, 65535))
def test_both_versions_say_the_same(address, source: int, destination: int):
    family = 0x11 if address.version == 4 else 0x21
    ports = source.to_bytes(2) + destination.to_bytes(2)
    binary = Reader().feed(v2(family=family, payload=address.packed * 2 + ports))
    line = Reader().feed(
        f"PROXY TCP{address.version} {address} {address} {source} {destination}\r\n".encode()
    )
    assert binary == line == Header(Endpoint(str(address), source), Endpoint(str(address), destination))


def test_headers_are_told_from_the_first_bytes():
    assert begins_like_a_header(b"P")
    assert begins_like_a_header(b"\r\n\r\n\0")
    assert not begins_like_a_header(b"")
    assert not begins_like_a_header(b"POST /")
    assert is_header(V1)
    assert is_header(AMAZON)
    assert not is_header(b"PROXY")
