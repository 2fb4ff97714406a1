"""Signing in to a server: from the StartupMessage that was sent to ReadyForQuery.

After https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP and
https://www.postgresql.org/docs/current/sasl-authentication.html. What the server says of itself meanwhile (its
parameters, its cancel key, its notices) is collected, bounded, for whoever tells the client. A server that asks for
more than we are willing to give is refused in words that say what an administrator can do.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from sdm.wire.postgres import scram
from sdm.wire.postgres.cancel import MAX_SECRET, CancelKey
from sdm.wire.postgres.errors import (
    CONNECTION_FAILURE,
    FEATURE_NOT_SUPPORTED,
    INVALID_AUTHORIZATION,
    INVALID_PASSWORD,
    PostgresError,
    ProtocolError,
    Report,
    parse_report,
)
from sdm.wire.postgres.messages import Message, Messages, MessageTooLong, cstring, message
from sdm.wire.postgres.startup import VERSION_3_0

# PostgreSQL 18 reports fifteen parameters; extensions may add theirs.
MAX_SERVER_PARAMETERS = 200
# Login triggers and extensions raise a few. Beyond this somebody fills our memory.
MAX_NOTICES = 50

_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_UNSUPPORTED = {2: "Kerberos V5", 6: "SCM credentials", 7: "GSSAPI", 8: "GSSAPI", 9: "SSPI"}


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """What the server said of itself. `rest` came after its ReadyForQuery."""

    parameters: tuple[tuple[bytes, bytes], ...]
    key: CancelKey | None
    notices: tuple[bytes, ...]
    status: bytes
    rest: bytes


class _State(Enum):
    WAITING = auto()
    """for the server to ask, or to be content without asking"""
    ANSWERED = auto()
    """a password was sent"""
    CHALLENGED = auto()
    """SASL has begun; the server's challenge is due"""
    PROVING = auto()
    """our proof was sent; the server has to prove itself"""
    PROVED = auto()
    ACCEPTED = auto()
    """AuthenticationOk came; the server tells about itself"""
    DONE = auto()


class Authentication:
    """Answers a server's questions. Send `data_to_send()` after each `feed`, until that returns a Session.

    Raises PostgresError when there will be none; its report is safe to be shown and logged. `verified_tls` says that
    the server's certificate was checked; `binding` is that certificate's `scram.end_point`.

    A server that wants many iterations makes one `feed` take up to a third of a second, the first time: when
    `is_challenged`. It may run in a thread of its own: the calculation leaves the interpreter to others.
    """

    def __init__(
        self,
        credentials: Credentials,
        keys: scram.KeyCache,
        *,
        verified_tls: bool,
        binding: bytes | None = None,
    ) -> None:
        self._credentials = credentials
        self._keys = keys
        self._verified_tls = verified_tls
        self._binding = binding
        self._state = _State.WAITING
        self._messages = Messages()
        self._out = b""
        self._exchange: scram.Exchange | None = None
        self._parameters: dict[bytes, bytes] = {}
        self._key: CancelKey | None = None
        self._notices: list[bytes] = []
        self._handlers: dict[bytes, Callable[[bytes], Session | None]] = {
            b"R": self._authenticate,
            b"E": self._fail,
            b"N": self._note,
            b"S": self._learn_parameter,
            b"K": self._learn_key,
            b"v": self._negotiated,
            b"Z": self._ready,
        }

    def data_to_send(self) -> bytes:
        data, self._out = self._out, b""
        return data

    @property
    def is_challenged(self) -> bool:
        return self._state is _State.CHALLENGED

    def feed(self, data: bytes) -> Session | None:
        if self._state is _State.DONE:
            raise ProtocolError("the server is signed in to already")
        try:
            for found in self._messages.feed(data):
                if (session := self._handle(found)) is not None:
                    return session
        except MessageTooLong as error:
            raise ProtocolError(f"the server sends {error} during start-up") from None
        except scram.ScramError as error:
            raise _refusal(str(error)) from None
        return None

    def _handle(self, found: Message) -> Session | None:
        handler = self._handlers.get(found.kind)
        if handler is None:
            raise ProtocolError(f"the server sends a message {found.kind!r} during start-up")
        return handler(found.body)

    # What the server asks for

    def _authenticate(self, body: bytes) -> None:
        if len(body) < 4:
            raise ProtocolError("the server's request for authentication is too short")
        code, data = int.from_bytes(body[:4]), body[4:]
        if code in _UNSUPPORTED:
            raise _refusal(
                f"the server asks for {_UNSUPPORTED[code]}, which is not supported",
                hint="Allow scram-sha-256 for this user in the server's pg_hba.conf.",
            )
        step = _STEPS.get((self._state, code))
        if step is None:
            raise ProtocolError(f"the server asks for authentication {code} out of turn")
        step(self, data)

    def _accepted(self, _data: bytes) -> None:
        self._state = _State.ACCEPTED

    def _send_cleartext(self, _data: bytes) -> None:
        if not self._verified_tls:
            raise _refusal(
                "the server asks for the password in clear text, and its TLS certificate is not verified",
                hint="Verify the server's certificate for this resource, or let the server ask for scram-sha-256.",
            )
        self._send_password(self._password.encode(errors="surrogatepass"))

    def _send_md5(self, data: bytes) -> None:
        if len(data) != 4:
            raise ProtocolError("the server's salt for MD5 is not four bytes")
        inner = _md5(self._password.encode(errors="surrogatepass") + self._credentials.user.encode())
        self._send_password(b"md5" + _md5(inner + data))

    def _send_password(self, password: bytes) -> None:
        if b"\0" in password:
            raise _refusal("the resource's password contains a NUL, which PostgreSQL cannot take")
        self._out += message(b"p", cstring(password))
        self._state = _State.ANSWERED

    def _begin_sasl(self, data: bytes) -> None:
        offered = [name.decode("ascii", errors="replace") for name in data.split(b"\0") if name]
        exchange = self._exchange = scram.Exchange(self._password, self._keys, binding=self._binding)
        mechanism = exchange.choose(offered[:20])
        first = exchange.first()
        self._out += message(b"p", cstring(mechanism.encode()) + len(first).to_bytes(4) + first)
        self._state = _State.CHALLENGED

    def _continue_sasl(self, data: bytes) -> None:
        assert self._exchange is not None  # noqa: S101 - the table leads here from CHALLENGED alone
        self._out += message(b"p", self._exchange.final(data))
        self._state = _State.PROVING

    def _finish_sasl(self, data: bytes) -> None:
        assert self._exchange is not None  # noqa: S101 - the table leads here from PROVING alone
        self._exchange.verify(data)
        self._state = _State.PROVED

    @property
    def _password(self) -> str:
        if self._credentials.password is None:
            raise _refusal("the server asks for a password, and the resource has none")
        return self._credentials.password

    # What the server tells

    def _fail(self, body: bytes) -> None:
        raise PostgresError(self._report(body))

    def _note(self, body: bytes) -> None:
        if len(self._notices) == MAX_NOTICES:
            raise ProtocolError(f"the server sends more than {MAX_NOTICES} notices during start-up")
        self._notices.append(self._report(body).to_bytes(b"N"))

    def _report(self, body: bytes) -> Report:
        # Looked through before it is cut: half a password would no longer be found.
        return parse_report(body).without(self._credentials.password or "").shortened()

    def _learn_parameter(self, body: bytes) -> None:
        name, value, *rest = body.split(b"\0")[:4] if body.count(b"\0") == 2 else [b""] * 2
        if not name or rest != [b""]:
            raise ProtocolError("the server sends a parameter in another form")
        if len(self._parameters) == MAX_SERVER_PARAMETERS:
            raise ProtocolError(f"the server sends more than {MAX_SERVER_PARAMETERS} parameters")
        self._expect(_State.ACCEPTED, "a parameter")
        self._parameters[name] = value

    def _learn_key(self, body: bytes) -> None:
        self._expect(_State.ACCEPTED, "a cancel key")
        if not 8 <= len(body) <= 4 + MAX_SECRET:
            raise ProtocolError("the server sends a cancel key of another length")
        self._key = CancelKey(int.from_bytes(body[:4]), body[4:])

    def _negotiated(self, body: bytes) -> None:
        # We asked for 3.0 and for no options: there is nothing to be negotiated.
        if len(body) < 8 or int.from_bytes(body[:4]) != VERSION_3_0 or body[4:8] != bytes(4):
            raise ProtocolError(
                "the server does not speak version 3.0 of the protocol", FEATURE_NOT_SUPPORTED
            )

    def _ready(self, body: bytes) -> Session:
        self._expect(_State.ACCEPTED, "ReadyForQuery")
        if body not in (b"I", b"T", b"E"):
            raise ProtocolError("the server is ready in an unknown state")
        self._state = _State.DONE
        rest = self._messages.rest
        return Session(tuple(self._parameters.items()), self._key, tuple(self._notices), body, rest)

    def _expect(self, state: _State, what: str) -> None:
        if self._state is not state:
            raise ProtocolError(f"the server sends {what} before it has accepted the credentials")


_Step = Callable[[Authentication, bytes], None]
# By state, what a server may ask for. AuthenticationOk has no place between the first word of SASL and the server's own
# proof: who skips it does not know the password.
_STEPS: dict[tuple[_State, int], _Step] = {
    (_State.WAITING, _OK): Authentication._accepted,
    (_State.WAITING, _CLEARTEXT): Authentication._send_cleartext,
    (_State.WAITING, _MD5): Authentication._send_md5,
    (_State.WAITING, _SASL): Authentication._begin_sasl,
    (_State.ANSWERED, _OK): Authentication._accepted,
    (_State.CHALLENGED, _SASL_CONTINUE): Authentication._continue_sasl,
    (_State.PROVING, _SASL_FINAL): Authentication._finish_sasl,
    (_State.PROVED, _OK): Authentication._accepted,
}


def server_gone(*, signed_in: bool) -> PostgresError:
    """The server closed the connection without a word."""
    when = "" if signed_in else " before it was signed in to"
    return PostgresError(Report(CONNECTION_FAILURE, f"the server closed the connection{when}"))


def _refusal(text: str, hint: str = "") -> PostgresError:
    state = INVALID_PASSWORD if "password" in text else INVALID_AUTHORIZATION
    return PostgresError(Report(state, text, hint=hint))


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
