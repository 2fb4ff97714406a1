"""What a client sends before anything else, and what we send first to a server.

After https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP and
https://www.postgresql.org/docs/current/protocol-message-formats.html. A client may ask for TLS and for GSSAPI once
each; both are answered with N, for it talks to a port of its own machine, and what leaves that is inside TLS already.
Then it sends a StartupMessage, or a CancelRequest and nothing more.

**Versions.** The client may speak 3.0 or 3.2, which differ in the length of cancel keys alone; since the keys are ours,
servers are always spoken to in 3.0. Any other 3.x is negotiated down, 2.0 is refused.

**Parameters.** User and database are the resource's, whatever was asked for. `replication` is refused unless the
resource allows it. Protocol options (`_pq_.`) are not known to us and are said to be so. All else passes: `options`,
`application_name`, `client_encoding`, and every other setting, which a client could as well SET a moment later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sdm.wire.postgres.cancel import (
    CANCEL_REQUEST_CODE,
    LONG_SECRET,
    MAX_SECRET,
    SHORT_SECRET,
    CancelKey,
)
from sdm.wire.postgres.errors import (
    CONNECTION_REJECTED,
    FEATURE_NOT_SUPPORTED,
    INVALID_AUTHORIZATION,
    ProtocolError,
)
from sdm.wire.postgres.messages import (
    authentication_ok,
    cstring,
    message,
    parameter_status,
    ready_for_query,
)

# MAX_STARTUP_PACKET_LENGTH of PostgreSQL's src/include/libpq/pqcomm.h.
MAX_STARTUP_LENGTH = 10_000
MAX_PARAMETERS = 200

SSL_REQUEST_CODE = 80877103
GSSENC_REQUEST_CODE = 80877104
SSL_REQUEST = (8).to_bytes(4) + SSL_REQUEST_CODE.to_bytes(4)
VERSION_3_0 = 3 << 16
VERSION_3_2 = 3 << 16 | 2
_UNENCRYPTED = b"N"
# A TLS record of a handshake: what a client begins with that is told to use TLS without asking.
_TLS_HANDSHAKE = b"\x16\x03"
_OURS = frozenset({"user", "database", "replication"})
_PROTOCOL_OPTION = "_pq_."
_NO = frozenset({b"false", b"off", b"no", b"0"})


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """`parameters` in the order they came in; values are bytes, for nothing says how they are encoded."""

    version: int
    parameters: tuple[tuple[str, bytes], ...]

    def get(self, name: str) -> bytes | None:
        return next((value for key, value in self.parameters if key == name), None)

    @property
    def user(self) -> str:
        """What was asked for: to be shown, not to be used."""
        return (self.get("user") or b"").decode(errors="replace")

    @property
    def database(self) -> str:
        return (self.get("database") or b"").decode(errors="replace") or self.user

    @property
    def replication(self) -> bool:
        value = self.get("replication")
        return value is not None and value.lower() not in _NO

    @property
    def unknown_options(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parameters if name.startswith(_PROTOCOL_OPTION))

    @property
    def spoken(self) -> int:
        """The version that the session has."""
        return VERSION_3_2 if self.version >= VERSION_3_2 else VERSION_3_0

    @property
    def secret_length(self) -> int:
        """How long the secret of a cancel key is to be."""
        return LONG_SECRET if self.spoken == VERSION_3_2 else SHORT_SECRET


class Startup:
    """Reads what comes first. Send `data_to_send()` after each `feed`; what follows is in `rest`."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answers = b""
        self._asked: set[int] = set()
        self._done = False

    @property
    def rest(self) -> bytes:
        return self._buffer

    def data_to_send(self) -> bytes:
        data, self._answers = self._answers, b""
        return data

    def feed(self, data: bytes) -> StartupMessage | CancelKey | None:
        if self._done:
            raise ProtocolError("start-up is over")
        self._buffer += data
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:4])
        self._check_length(length)
        if len(self._buffer) < length:
            return None
        packet, self._buffer = self._buffer[4:length], self._buffer[length:]
        return self._read(packet)

    def _check_length(self, length: int) -> None:
        if self._buffer.startswith(_TLS_HANDSHAKE):
            raise ProtocolError(
                "this port does not speak TLS itself: what leaves your machine is encrypted already",
                CONNECTION_REJECTED,
                hint="Connect with sslmode=disable or sslmode=prefer, and without sslnegotiation=direct.",
            )
        if not 8 <= length <= MAX_STARTUP_LENGTH:
            raise ProtocolError("invalid length of startup packet")

    def _read(self, packet: bytes) -> StartupMessage | CancelKey | None:
        code = int.from_bytes(packet[:4])
        if code in (SSL_REQUEST_CODE, GSSENC_REQUEST_CODE):
            self._refuse_encryption(code, packet)
            return None
        self._done = True
        if code == CANCEL_REQUEST_CODE:
            return _parse_cancel(packet)
        return _parse_startup(code, packet[4:])

    def _refuse_encryption(self, code: int, packet: bytes) -> None:
        name = "SSLRequest" if code == SSL_REQUEST_CODE else "GSSENCRequest"
        if len(packet) != 4:
            raise ProtocolError(f"invalid length of {name}")
        if code in self._asked:
            raise ProtocolError(f"{name} was answered before")
        # Bytes that did not wait for the answer were put there by somebody in between (CVE-2021-23214).
        if self._buffer:
            raise ProtocolError(f"received data after {name} that did not wait for the answer")
        self._asked.add(code)
        self._answers += _UNENCRYPTED


def upstream_startup(asked: StartupMessage, *, user: str, database: str, allow_replication: bool) -> bytes:
    """The StartupMessage for the server: the resource's user and database, and what passes of what was asked."""
    return startup_message([*_login(user, database), *_passed(asked, allow_replication)])


def startup_message(parameters: Iterable[tuple[bytes, bytes]]) -> bytes:
    body = (
        VERSION_3_0.to_bytes(4)
        + b"".join(cstring(name) + cstring(value) for name, value in parameters)
        + b"\0"
    )
    return (len(body) + 4).to_bytes(4) + body


def welcome(
    asked: StartupMessage,
    key: CancelKey,
    parameters: Iterable[tuple[bytes, bytes]],
    *,
    notices: Iterable[bytes] = (),
    status: bytes = b"I",
) -> bytes:
    """All that a client waits for before its first query, in one piece."""
    negotiated = b""
    if asked.version not in (VERSION_3_0, VERSION_3_2) or asked.unknown_options:
        negotiated = negotiate_version(asked.spoken, asked.unknown_options)
    states = b"".join(parameter_status(name, value) for name, value in parameters)
    return b"".join(
        (negotiated, authentication_ok(), states, key.to_bytes(), *notices, ready_for_query(status))
    )


def negotiate_version(version: int, unknown_options: Sequence[str]) -> bytes:
    """The page says "newest minor protocol version"; servers send, and libpq reads, both halves."""
    names = b"".join(cstring(name.encode()) for name in unknown_options)
    return message(b"v", version.to_bytes(4) + len(unknown_options).to_bytes(4) + names)


def accepts_tls(answer: bytes) -> bool:
    """Whether a server that was sent SSL_REQUEST goes on with TLS; `answer` is all that has arrived."""
    # More than one byte: what follows in clear text would pass for what came encrypted (CVE-2021-23222). An error's
    # text is not shown either: nobody has proved to be the server yet (CVE-2024-10977).
    if answer not in (b"S", b"N"):
        raise ProtocolError("the server answers a request for TLS with something else than S or N")
    return answer == b"S"


def _parse_cancel(packet: bytes) -> CancelKey:
    secret = packet[8:]
    if not SHORT_SECRET <= len(secret) <= MAX_SECRET:
        raise ProtocolError("invalid length of cancel request")
    return CancelKey(int.from_bytes(packet[4:8]), secret)


def _parse_startup(version: int, body: bytes) -> StartupMessage:
    if version >> 16 != 3:
        raise ProtocolError(
            f"unsupported frontend protocol {version >> 16}.{version & 0xFFFF}: 3.0 to 3.2 are supported",
            FEATURE_NOT_SUPPORTED,
        )
    # Pairs of strings, then one NUL: split at NULs, the last two pieces are empty.
    *words, last, end = body.split(b"\0") if body.endswith(b"\0") else [b"", b"x"]
    if last or end or len(words) % 2:
        raise ProtocolError("invalid startup packet layout: expected terminator as last byte")
    if len(words) > 2 * MAX_PARAMETERS:
        raise ProtocolError("too many parameters in the startup packet")
    names = [_name(word) for word in words[::2]]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ProtocolError(f"the startup packet says {min(twice)} twice")
    return StartupMessage(version, tuple(zip(names, words[1::2], strict=True)))


def _name(word: bytes) -> str:
    name = word.decode("ascii", errors="replace")
    # Settings of extensions have dots; nothing that PostgreSQL knows has more.
    if not name.isascii() or not name.replace(".", "").replace("_", "").replace("-", "").isalnum():
        raise ProtocolError("the startup packet has a parameter without a proper name")
    return name


def _login(user: str, database: str) -> list[tuple[bytes, bytes]]:
    if not user or "\0" in user + database:
        raise ProtocolError("the resource has no proper user name and database", INVALID_AUTHORIZATION)
    return [(b"user", user.encode()), (b"database", (database or user).encode())]


def _passed(asked: StartupMessage, allow_replication: bool) -> list[tuple[bytes, bytes]]:
    if asked.replication and not allow_replication:
        raise ProtocolError("replication is not allowed for this resource", INVALID_AUTHORIZATION)
    passed = [
        (name.encode(), value)
        for name, value in asked.parameters
        if name not in _OURS and not name.startswith(_PROTOCOL_OPTION)
    ]
    if asked.replication:
        passed.append((b"replication", asked.get("replication") or b""))
    return passed
