"""The PROXY protocol, versions 1 and 2: whom a load balancer speaks for.

After https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. `Reader.feed` is given what has arrived; it
returns None for "more is needed", or the header, and raises ProxyProtocolError when there can be none.
"""

import ipaddress
from dataclasses import dataclass

# 2.1: "a 108-byte buffer is always enough to store all the line and a trailing zero".
MAX_V1_LENGTH = 107
V1_SIGNATURE = b"PROXY "
V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
# 2.2: signature, version and command, family and transport, length.
_V2_HEAD = len(V2_SIGNATURE) + 4
# Two IPv6 addresses and two ports take 36 bytes; the rest is type-length-values. Amazon's and Azure's have some 50.
MAX_V2_PAYLOAD = 2048

_LOCAL, _PROXY = 0x20, 0x21
# High half: address family; low half: 1 for a stream. Lengths of one address and of the whole block.
_TCP4, _TCP6 = 0x11, 0x21
_ADDRESS_LENGTH = {_TCP4: 4, _TCP6: 16}


class ProxyProtocolError(Exception):
    """What arrived is not a header; nothing behind it can be believed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Header:
    """`source` is None when the balancer speaks for itself, as its health checks do."""

    source: Endpoint | None
    destination: Endpoint | None


_ITSELF = Header(None, None)


def begins_like_a_header(data: bytes) -> bool:
    """Whether `data`, the first bytes of a connection, are a header, as far as they go."""
    return any(
        bool(data) and data[: len(signature)] == signature[: len(data)]
        for signature in (V1_SIGNATURE, V2_SIGNATURE)
    )


def is_header(data: bytes) -> bool:
    """Whether the whole signature of one is there."""
    return data.startswith((V1_SIGNATURE, V2_SIGNATURE))


class Reader:
    """Reads one header. What follows it is in `rest`."""

    def __init__(self) -> None:
        self._buffer = b""
        self.rest = b""

    def feed(self, data: bytes) -> Header | None:
        self._buffer += data
        if not begins_like_a_header(self._buffer):
            if not self._buffer:
                return None
            raise ProxyProtocolError("a PROXY header was due")
        if self._buffer.startswith(V1_SIGNATURE):
            return self._read_v1()
        if self._buffer.startswith(V2_SIGNATURE):
            return self._read_v2()
        return None

    def _read_v1(self) -> Header | None:
        line, end, _ = self._buffer[:MAX_V1_LENGTH].partition(b"\r\n")
        if not end:
            if len(self._buffer) >= MAX_V1_LENGTH:
                raise ProxyProtocolError("the line of a PROXY header does not end")
            return None
        self.rest = self._buffer[len(line) + len(end) :]
        return _parse_v1(line)

    def _read_v2(self) -> Header | None:
        if len(self._buffer) < _V2_HEAD:
            return None
        command, family = self._buffer[12], self._buffer[13]
        length = int.from_bytes(self._buffer[14:16])
        if command not in (_LOCAL, _PROXY):
            raise ProxyProtocolError("a PROXY header of an unknown version or command")
        if length > MAX_V2_PAYLOAD:
            raise ProxyProtocolError(f"a PROXY header of {length} bytes")
        if len(self._buffer) < _V2_HEAD + length:
            return None
        payload, self.rest = self._buffer[_V2_HEAD : _V2_HEAD + length], self._buffer[_V2_HEAD + length :]
        # 2.2: for LOCAL "the receiver must accept this connection as valid and must discard the protocol block".
        return _ITSELF if command == _LOCAL else _parse_v2(family, payload)


def _parse_v1(line: bytes) -> Header:
    words = line.split(b" ")
    if words[1:2] == [b"UNKNOWN"]:
        return _ITSELF  # 2.1: "the receiver must ignore anything presented before the CRLF"
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise ProxyProtocolError("a PROXY line of another form")
    version = 4 if words[1] == b"TCP4" else 6
    source, destination = (_host(word, version) for word in words[2:4])
    return Header(Endpoint(source, _port(words[4])), Endpoint(destination, _port(words[5])))


def _host(word: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        raise ProxyProtocolError("a PROXY line without addresses") from None
    if address.version != version or "%" in str(address):
        raise ProxyProtocolError("a PROXY line with addresses of another family")
    return str(address)


def _port(word: bytes) -> int:
    # 2.1: "in the range [0..65535] inclusive", without leading zeros.
    if not word.isdigit() or len(word) > 5 or int(word) > 65535 or (word[:1] == b"0" and word != b"0"):
        raise ProxyProtocolError("a PROXY line without ports")
    return int(word)


def _parse_v2(family: int, payload: bytes) -> Header:
    size = _ADDRESS_LENGTH.get(family)
    if size is None:
        raise ProxyProtocolError("a PROXY header for something that is not TCP")
    if len(payload) < 2 * size + 4:
        raise ProxyProtocolError("a PROXY header that is too short for its addresses")
    source, destination = (str(ipaddress.ip_address(payload[start : start + size])) for start in (0, size))
    ports = payload[2 * size : 2 * size + 4]
    return Header(
        Endpoint(source, int.from_bytes(ports[:2])), Endpoint(destination, int.from_bytes(ports[2:]))
    )
