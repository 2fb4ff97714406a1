"""ErrorResponse and NoticeResponse: what we tell a client, and what a server tells us.

After "Error and Notice Message Fields" and "Message Formats" of https://www.postgresql.org/docs/current/protocol.html.
"""

import base64
import re
from dataclasses import dataclass, replace
from urllib.parse import quote

from sdm.wire.postgres.messages import message

# https://www.postgresql.org/docs/current/errcodes-appendix.html
CANNOT_CONNECT = "08001"
CONNECTION_REJECTED = "08004"
CONNECTION_FAILURE = "08006"
PROTOCOL_VIOLATION = "08P01"
FEATURE_NOT_SUPPORTED = "0A000"
INVALID_AUTHORIZATION = "28000"
INVALID_PASSWORD = "28P01"  # noqa: S105 - the name of a state, not a password
TOO_MANY_CONNECTIONS = "53300"
ADMIN_SHUTDOWN = "57P01"
CANNOT_CONNECT_NOW = "57P03"

# A server may write books; a person reads the first page.
MAX_TEXT = 2000
# Not translated, unlike field S, since 9.6.
_SEVERITIES = frozenset({"ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "DEBUG", "INFO", "LOG"})
_SQLSTATE = re.compile("[0-9A-Z]{5}")
# What can move a cursor or end a line of a log. Line feeds and tabs are wanted in details.
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029), "\ufffd")
WITHHELD = "The server's message is withheld, because it contains the password"


@dataclass(frozen=True, slots=True)
class Report:
    """The fields of an error or a notice that people and programs look at."""

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    severity: str = "FATAL"

    def to_bytes(self, kind: bytes = b"E") -> bytes:
        fields = {
            b"S": self.severity,
            b"V": self.severity,
            b"C": self.sqlstate,
            b"M": self.message,
            b"D": self.detail,
            b"H": self.hint,
        }
        body = b"".join(
            code + text.replace("\0", "\ufffd").encode(errors="replace") + b"\0"
            for code, text in fields.items()
            if text
        )
        return message(kind, body + b"\0")

    def without(self, secret: str) -> "Report":
        """The same, or, when any field of it shows `secret` in a form that can be undone, nothing but its state.

        The whole text goes, for what is left of a text without a word tells the word's place and length.
        """
        shown = "\n".join((self.message, self.detail, self.hint, self.sqlstate))
        if not any(form in shown for form in _forms(secret)):
            return self
        state = CONNECTION_FAILURE if secret in self.sqlstate else self.sqlstate
        return Report(state, WITHHELD, severity=self.severity)

    def shortened(self) -> "Report":
        return replace(
            self, message=self.message[:MAX_TEXT], detail=self.detail[:MAX_TEXT], hint=self.hint[:MAX_TEXT]
        )

    @property
    def with_hint(self) -> str:
        return f"{self}. {self.hint}" if self.hint else str(self)

    def __str__(self) -> str:
        return f"{self.message} ({self.sqlstate})"


class PostgresError(Exception):
    """The session cannot go on; `report` is for the client."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


class ProtocolError(PostgresError):
    """What arrived is not what the protocol allows here; nothing behind it can be believed."""

    def __init__(self, text: str, sqlstate: str = PROTOCOL_VIOLATION, hint: str = "") -> None:
        super().__init__(Report(sqlstate, text, hint=hint))


def parse_report(body: bytes) -> Report:
    """The report in the body of an ErrorResponse or NoticeResponse; what it lacks is made up for."""
    fields: dict[bytes, str] = {}
    for field in body.split(b"\0"):
        fields.setdefault(field[:1], field[1:].decode(errors="replace").translate(_CONTROLS))
    state, severity = fields.get(b"C", ""), fields.get(b"V") or fields.get(b"S")
    return Report(
        sqlstate=state if _SQLSTATE.fullmatch(state) else PROTOCOL_VIOLATION,
        message=fields.get(b"M") or "The server refuses without a reason",
        detail=fields.get(b"D", ""),
        hint=fields.get(b"H", ""),
        severity=severity if severity in _SEVERITIES else "ERROR",
    )


def _forms(secret: str) -> set[str]:
    """The ways in which a server, or something before it, may write a secret down."""
    if not secret:
        return set()
    raw = secret.encode(errors="surrogatepass")
    forms = {
        secret,
        secret.translate(_CONTROLS),
        secret.replace("\\", "\\\\").replace("'", "\\'"),
        secret.replace("'", "''"),
        secret.replace('"', '""'),
        quote(raw),
        quote(raw, safe=""),
        raw.hex(),
        raw.hex().upper(),
    }
    # Inside a longer text base64 has two more alignments; a password alone has this one.
    return forms | {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
