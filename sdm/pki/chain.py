"""Whether a certificate is whose it says it is: one leaf, signed by one trusted authority, and nothing between.

Each way to be refused is an exception of its own with a sentence for people. After all of them the verifier of
`cryptography` has the last word, so that a rule which is forgotten here is one that both forgot.
"""

import base64
import datetime as dt
import hmac
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from sdm.pki import names
from sdm.pki.csr import UNREADABLE, BadRequest, check_key
from sdm.pki.names import Kind, Name, WorkerName
from sdm.pki.profiles import (
    AUTHORITY_CONSTRAINTS,
    AUTHORITY_KEY_USAGE,
    BACKDATED,
    LEAF_CONSTRAINTS,
    LEAF_KEY_USAGE,
    PROFILES,
)

# A certificate of ours has some 900 bytes in PEM.
MAX_LENGTH = 8192
# One that signs, one to come, one that goes.
MAX_AUTHORITIES = 10

E = TypeVar("E", bound=x509.ExtensionType)


class Untrusted(Exception):
    """A certificate is not accepted; the message says why."""


class Unreadable(Untrusted):
    """It is no certificate, or not one that can be read."""


class NotAnAuthority(Untrusted):
    """It is among those that are trusted to sign, and is no authority for these certificates."""


class IsAuthority(Untrusted):
    """An authority's own certificate, used as if it were a worker's or a client's."""


class UnknownAuthority(Untrusted):
    """None of the trusted authorities signed it."""


class AuthorityNotValid(Untrusted):
    """The authority that signed it is itself not valid yet, or not any more."""


class NotYetValid(Untrusted):
    pass


class Expired(Untrusted):
    pass


class WrongUsage(Untrusted):
    """It is for another use than it is shown for."""


class WrongName(Untrusted):
    """It names nobody, somebody of another kind or installation, or more than it may."""


class WrongIdentity(Untrusted):
    """It is somebody's, but not theirs who were expected: another cluster's, another worker's."""


class OtherCertificate(Untrusted):
    """It is not the certificate that this session was bound to."""


class Revoked(Untrusted):
    pass


class Refused(Untrusted):
    """The verifier of `cryptography` does not accept it."""


def read(pem: str | bytes) -> x509.Certificate:
    """The one certificate in `pem`, with a key and extensions that can be read."""
    if len(pem) > MAX_LENGTH:
        raise Unreadable(f"A certificate has at most {MAX_LENGTH:,} bytes.")
    raw = pem.encode("utf-8", "replace") if isinstance(pem, str) else pem
    try:
        found = x509.load_pem_x509_certificates(raw)
    except UNREADABLE:
        found = []
    if len(found) != 1:
        raise Unreadable("This is not one certificate in PEM.")
    return check_readable(found[0])


def check_readable(certificate: x509.Certificate) -> x509.Certificate:
    """`certificate`, none of whose parts raises when it is asked for later."""
    try:
        check_key(certificate.public_key())
        readable = certificate.version is x509.Version.v3 and certificate.extensions is not None
        certificate.issuer, certificate.subject  # noqa: B018  # parsed when they are asked for
    except BadRequest as error:
        raise Unreadable(str(error)) from None
    except UNREADABLE:
        readable = False
    if not readable:
        raise Unreadable("This certificate cannot be read here.")
    return certificate


def serial_of(certificate: x509.Certificate) -> str:
    """Its serial number, as 40 hexadecimal digits."""
    return f"{certificate.serial_number:040x}"


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def thumbprint(certificate: x509.Certificate) -> str:
    """The same as tokens carry it in `x5t#S256` (RFC 8705, 3.1)."""
    return base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()


def check_same(certificate: x509.Certificate, expected: str) -> None:
    """OtherCertificate unless `expected` is this certificate's thumbprint."""
    if not hmac.compare_digest(thumbprint(certificate).encode(), expected.encode("utf-8", "replace")):
        raise OtherCertificate("This is not the certificate that the session was opened with.")


@dataclass(frozen=True)
class Authorities:
    """Those that are trusted to sign certificates of one kind. Made by `trust`, which looks at each of them."""

    kind: Kind
    certificates: tuple[x509.Certificate, ...]
    store: verification.Store | None

    def verify(
        self, leaf: x509.Certificate, *, at: dt.datetime, revoked: Container[str] = frozenset()
    ) -> Name:
        """Whose certificate `leaf` is at this moment; an Untrusted when it is not to be accepted.

        `revoked` holds serial numbers as `serial_of` writes them. That the peer has the key is for TLS to prove.
        """
        # First: our rules are for what our authorities signed, and others use other keys.
        issuer = self._issuer(leaf)
        check_readable(leaf)
        if _is_authority(leaf):
            raise IsAuthority("This is the certificate of an authority, which stands for nobody.")
        _check_time(leaf, issuer, at)
        _check_usage(leaf, self.kind)
        name = _name(leaf, issuer, self.kind)
        if serial_of(leaf) in revoked:
            raise Revoked("This certificate was revoked.")
        self._last_word(leaf, at)
        return name

    def verify_worker(
        self,
        leaf: x509.Certificate,
        *,
        cluster_id: str,
        at: dt.datetime,
        revoked: Container[str] = frozenset(),
    ) -> WorkerName:
        """The same for a worker of one cluster: what a client asks before it sends anything."""
        name = self.verify(leaf, at=at, revoked=revoked)
        if not isinstance(name, WorkerName) or name.cluster_id != cluster_id:
            raise WrongIdentity(f"This is not a worker of {cluster_id}, but {name}.")
        return name

    def _issuer(self, leaf: x509.Certificate) -> x509.Certificate:
        try:
            named = leaf.issuer  # parsed when it is asked for
        except UNREADABLE:
            raise Unreadable("This certificate cannot be read here.") from None
        for authority in self.certificates:
            if named != authority.subject:
                continue
            try:
                leaf.verify_directly_issued_by(authority)
            except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
                continue
            return authority
        raise UnknownAuthority("No authority that is trusted here signed this certificate.")

    def _last_word(self, leaf: x509.Certificate, at: dt.datetime) -> None:
        if self.store is None:
            raise UnknownAuthority("No authority is trusted here.")
        policy = verification.PolicyBuilder().store(self.store).time(at).max_chain_depth(0)
        try:
            if ExtendedKeyUsageOID.CLIENT_AUTH in PROFILES[self.kind].usages:
                policy.build_client_verifier().verify(leaf, [])
            else:
                policy.build_server_verifier(_host(leaf)).verify(leaf, [])
        except verification.VerificationError as error:
            raise Refused(f"This certificate is not accepted: {error}") from None


def trust(kind: Kind, certificates: Iterable[str | bytes]) -> Authorities:
    """Trust these, each one certificate in PEM; NotAnAuthority when one of them may not sign this kind."""
    found = tuple(_check_authority(read(pem), kind) for pem in certificates)
    if len(found) > MAX_AUTHORITIES:
        raise NotAnAuthority(f"There are at most {MAX_AUTHORITIES} authorities; these are {len(found)}.")
    return Authorities(kind, found, verification.Store(list(found)) if found else None)


def trust_domain_of(authority: x509.Certificate) -> str:
    """The installation that an authority belongs to."""
    try:
        return names.parse_trust_domain(_uri(authority, hosts=0))
    except names.BadName as error:
        raise WrongName(f"The authority has no usable name: {error}") from None


def _check_authority(certificate: x509.Certificate, kind: Kind) -> x509.Certificate:
    wanted = (
        (AUTHORITY_CONSTRAINTS, True),
        (AUTHORITY_KEY_USAGE, True),
        (PROFILES[kind].extended_key_usage, False),
    )
    if not all(_has(certificate, extension, critical=critical) for extension, critical in wanted):
        raise NotAnAuthority(
            f"A certificate that is trusted to sign is no authority for {kind} certificates."
        )
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        raise NotAnAuthority("A certificate that is trusted to sign is not signed by itself.") from None
    trust_domain_of(certificate)
    return certificate


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    return bool(constraints and constraints.value.ca) or bool(usage and usage.value.key_cert_sign)


def _check_time(leaf: x509.Certificate, issuer: x509.Certificate, at: dt.datetime) -> None:
    if not issuer.not_valid_before_utc <= at <= issuer.not_valid_after_utc:
        raise AuthorityNotValid(
            f"The authority that signed this certificate is valid from {_moment(issuer.not_valid_before_utc)} "
            f"until {_moment(issuer.not_valid_after_utc)}."
        )
    if at < leaf.not_valid_before_utc:
        raise NotYetValid(
            f"This certificate is not valid before {_moment(leaf.not_valid_before_utc)}, and here it is "
            f"{_moment(at)}. Is a clock wrong?"
        )
    if at > leaf.not_valid_after_utc:
        raise Expired(f"This certificate expired at {_moment(leaf.not_valid_after_utc)}.")


def _check_usage(leaf: x509.Certificate, kind: Kind) -> None:
    profile = PROFILES[kind]
    if not _has(leaf, LEAF_CONSTRAINTS, critical=True) or not _has(leaf, LEAF_KEY_USAGE, critical=True):
        raise WrongUsage("This certificate is for another use than to prove who somebody is.")
    found = _extension(leaf, x509.ExtendedKeyUsage)
    if found is None or set(found.value) != set(profile.usages):
        raise WrongUsage(f"This certificate is for another use than a {kind}'s.")
    if leaf.not_valid_after_utc - leaf.not_valid_before_utc > profile.lifetime + BACKDATED:
        raise WrongUsage(f"A {kind}'s certificate does not live that long.")


def _name(leaf: x509.Certificate, issuer: x509.Certificate, kind: Kind) -> Name:
    try:
        name = names.parse(_uri(leaf, hosts=PROFILES[kind].hosts))
    except names.BadName as error:
        raise WrongName(f"This certificate names nobody that is known here: {error}") from None
    if name.kind != kind:
        raise WrongName(f"This certificate is of the kind {name.kind}, where one of {kind} is expected.")
    if name.trust_domain != trust_domain_of(issuer):
        raise WrongName("This certificate names somebody of another installation than its authority's.")
    return name


def _uri(certificate: x509.Certificate, *, hosts: int) -> str:
    """The one URI of a SAN that holds nothing else but so many hosts at most."""
    found = _extension(certificate, x509.SubjectAlternativeName)
    alternatives = list(found.value) if found else []
    uris = [each.value for each in alternatives if isinstance(each, x509.UniformResourceIdentifier)]
    beside = [each for each in alternatives if isinstance(each, x509.DNSName | x509.IPAddress)]
    if len(uris) != 1 or len(beside) > hosts or len(alternatives) != 1 + len(beside):
        raise names.BadName(f"Its SAN has to hold one URI, and hosts: {hosts} at most.")
    return uris[0]


def _host(certificate: x509.Certificate) -> x509.DNSName | x509.IPAddress:
    """The first: each of them has been looked at, and is as good as the others."""
    found = _extension(certificate, x509.SubjectAlternativeName)
    for each in found.value if found else ():
        if isinstance(each, x509.DNSName | x509.IPAddress):
            return each
    raise WrongName("This certificate names no host.")


def _has(certificate: x509.Certificate, wanted: x509.ExtensionType, *, critical: bool) -> bool:
    found = _extension(certificate, type(wanted))
    return found is not None and found.critical is critical and found.value == wanted


def _extension(certificate: x509.Certificate, wanted: type[E]) -> x509.Extension[E] | None:
    try:
        return certificate.extensions.get_extension_for_class(wanted)
    except x509.ExtensionNotFound:
        return None


def _moment(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
