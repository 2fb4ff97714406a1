"""Who asks for a session: a ticket, and the client certificate that it is bound to.

With SDM_TLS_CLIENT_AUTH=direct the client has shown the certificate in the handshake, which proves that it has the key.
With `none` somebody else has ended TLS: the certificate is in the proof that goes with each request, and the signature
there does the same. A proof is good once; whether it was used is for the whole worker to know, so the desk asks that.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from sdm.contract import proof, ticket
from sdm.contract.reasons import Reason
from sdm.contract.ticket import BadTicket, Ticket
from sdm.pki.chain import Authorities, Untrusted, serial_of, trust
from sdm.pki.names import Kind
from sdm.worker.sessions.refusals import Refused, unauthorized
from sdm.worker.sessions.request import TunnelRequest

# Certificates that were looked at; looking costs half a millisecond.
_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class Trust:
    """What a request is judged by, as the control plane says."""

    cluster_id: str
    ticket_keys: Mapping[str, Ed25519PublicKey]
    clients: Authorities
    revoked: frozenset[str]

    @classmethod
    def of(
        cls, cluster_id: str, ticket_keys: Mapping[str, str], authorities: list[str], revoked: list[str]
    ) -> "Trust":
        """Keys are in hexadecimal, authorities in PEM."""
        keys = {
            name: Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for name, key in ticket_keys.items()
        }
        return cls(cluster_id, keys, trust(Kind.CLIENT, authorities), frozenset(revoked))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may ask for a lease."""

    ticket: Ticket
    # As it was sent.
    token: str = field(repr=False)
    thumbprint: str
    # What differs with every proof; empty when TLS has proved it.
    proved: str


@dataclass(frozen=True, slots=True)
class _Known:
    account_id: str
    serial: str
    not_after: dt.datetime


class Gate:
    def __init__(self, trusted: Trust) -> None:
        self._trust = trusted
        self._known: dict[str, _Known] = {}

    def admit(self, request: TunnelRequest, shown: bytes | None, *, direct: bool) -> Caller:
        """Who it is; Refused when that is nobody who may ask. `shown` is the certificate that TLS knows, in DER."""
        now = dt.datetime.now(dt.UTC)
        found = self._ticket(request, now)
        der, proved = (shown, "") if direct else self._proved(request, now)
        if der is None:
            raise _not_logged_in("Connect with your client certificate: sdm does, by itself.")
        thumbprint = hashlib.sha256(der).hexdigest()
        if thumbprint != found.thumbprint:
            raise _bad_ticket("The ticket is bound to another client certificate.")
        if self._account(der, thumbprint, now) != found.account_id:
            raise _bad_ticket("The ticket is for another account than the client certificate.")
        return Caller(found, request.ticket, thumbprint, proved)

    def proven(self, request: TunnelRequest, shown: bytes | None, *, direct: bool) -> str:
        """Of somebody who was refused: whose certificate it is, if it is good; nothing otherwise."""
        now = dt.datetime.now(dt.UTC)
        try:
            der = shown if direct else self._proved(request, now)[0]
            return self._account(der, hashlib.sha256(der).hexdigest(), now) if der else ""
        except Refused:
            return ""

    def _ticket(self, request: TunnelRequest, now: dt.datetime) -> Ticket:
        if not request.ticket:
            raise _bad_ticket("There is no ticket: the header Proxy-Authorization has to hold one.")
        try:
            found = ticket.verify(request.ticket, keys=self._trust.ticket_keys, at=now)
        except BadTicket as error:
            raise _bad_ticket(str(error)) from None
        if found.cluster_id != self._trust.cluster_id:
            raise _bad_ticket("The ticket is for another cluster.")
        if found.resource_id != request.resource_id:
            raise _bad_ticket("The ticket is for another resource.")
        return found

    def _proved(self, request: TunnelRequest, now: dt.datetime) -> tuple[bytes, str]:
        """The certificate that signed this request."""
        if not request.proof:
            raise _not_logged_in("There is no proof: the header Sdm-Client-Proof has to hold one.")
        try:
            found = proof.read(request.proof)
            digest = found.check(f"CONNECT {request.resource_id}", request.ticket.encode())
        except proof.BadProof as error:
            raise _not_logged_in(str(error)) from None
        if not found.is_timely(now):
            raise unauthorized(
                Reason.CLOCK,
                f"The client's clock says {found.at:%Y-%m-%d %H:%M:%S} UTC, and here it is {now:%H:%M:%S}. Set the one "
                "that is wrong.",
            )
        return found.certificate.public_bytes(Encoding.DER), digest.hex()

    def _account(self, der: bytes, thumbprint: str, now: dt.datetime) -> str:
        """Whose certificate it is."""
        known = self._known.get(thumbprint)
        if known is None or known.not_after < now:
            known = self._look_at(der, now)
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[thumbprint] = known
        return known.account_id

    def _look_at(self, der: bytes, now: dt.datetime) -> _Known:
        try:
            certificate = x509.load_der_x509_certificate(der)
            name = self._trust.clients.verify(certificate, at=now, revoked=self._trust.revoked)
        except (ValueError, Untrusted) as error:
            raise _not_logged_in(str(error)) from None
        return _Known(name.subject_id, serial_of(certificate), certificate.not_valid_after_utc)


def _bad_ticket(detail: str) -> Refused:
    return unauthorized(Reason.BAD_TICKET, detail)


def _not_logged_in(detail: str) -> Refused:
    return unauthorized(Reason.NOT_LOGGED_IN, detail)
