"""What workers and clients sign, so that the control plane knows who calls.

To join, a worker signs a challenge with its cluster's secret key; a client is let in by a person. Every later call
carries `METADATA`, or `CLIENT_METADATA`: the caller's certificate, the time, and a signature by the certificate's
key over both, the method and the request. Somebody who copies a proof can do with it what it says, once, within the
clock's tolerance; nothing else.

As bytes, before base64url: version 1, the time in milliseconds since 1970 (8 bytes), the length of the
certificate (2 bytes), the certificate in DER, and the rest is the signature (ECDSA with SHA-256, in DER).
"""

import base64
import binascii
import datetime as dt
import hashlib
import struct
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

METADATA = "sdm-worker-proof"
CLIENT_METADATA = "sdm-client-proof"
# How far two clocks may be apart.
TOLERANCE = dt.timedelta(minutes=5)
# A certificate of ours has some 700 bytes. Metadata of 8 kB is what gRPC takes by default.
MAX_LENGTH = 6_000

_REGISTRATION = b"sdm registration 1\0"
_CALL = b"sdm call 1\0"
_VERSION = 1
_HEAD = struct.Struct("!BQH")
# The year 9999, which datetime still knows.
_LATEST = 253_402_300_799_000
_ALGORITHM = ec.ECDSA(hashes.SHA256())
# Those of certificates of ours. On others strangers could have us calculate for many times as long.
_CURVES = (ec.SECP256R1, ec.SECP384R1)


class BadProof(ValueError):
    """What was sent proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a call's metadata says, before any of it is believed."""

    certificate: x509.Certificate
    milliseconds: int
    signature: bytes = field(repr=False)

    @property
    def at(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.milliseconds / 1000, dt.UTC)

    def is_timely(self, now: dt.datetime) -> bool:
        return abs(self.at - now) <= TOLERANCE

    def check(self, method: str, request: bytes) -> bytes:
        """Raise BadProof unless the certificate's key signed this call. What was signed differs with every call."""
        key = self.certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
            raise BadProof("The certificate's key is of a kind that is not used here.")
        signed = _call(self.certificate, self.milliseconds, method, request)
        try:
            key.verify(self.signature, signed, _ALGORITHM)
        except InvalidSignature:
            raise BadProof("The signature is not the certificate's, or was made for another call.") from None
        return hashlib.sha256(signed).digest()


def registration(nonce: bytes, csr: bytes) -> bytes:
    """What the secret key signs: `nonce` as it was sent, `csr` in PEM as it will be sent."""
    return _REGISTRATION + hashlib.sha256(nonce).digest() + hashlib.sha256(csr).digest()


def of_call(
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    *,
    method: str,
    request: bytes,
    at: dt.datetime,
) -> str:
    """The value of `METADATA` for a call of `method`, as in `/sdm.contract.v1.Workers/Heartbeat`.

    `request` is the serialized message; for a stream it is empty.
    """
    # Counted in whole numbers: a float of seconds would round differently on the two sides.
    milliseconds = (at - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(milliseconds=1)
    signature = key.sign(_call(certificate, milliseconds, method, request), _ALGORITHM)
    der = _der(certificate)
    raw = _HEAD.pack(_VERSION, milliseconds, len(der)) + der + signature
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(text: str) -> Proof:
    """What the metadata holds; BadProof when it is not of the form above."""
    if len(text) > MAX_LENGTH:
        raise BadProof("The proof is too long.")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, milliseconds, length = _HEAD.unpack_from(raw)
    except (binascii.Error, ValueError, struct.error):
        raise BadProof("The proof is cut off, or never was one.") from None
    der, signature = raw[_HEAD.size : _HEAD.size + length], raw[_HEAD.size + length :]
    if version != _VERSION or milliseconds > _LATEST or not signature:
        raise BadProof("The proof is cut off, or of a version that is not known here.")
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.public_key()  # parsed when it is asked for
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise BadProof("The proof holds no certificate that can be read.") from None
    return Proof(certificate, milliseconds, signature)


def _call(certificate: x509.Certificate, milliseconds: int, method: str, request: bytes) -> bytes:
    """Each part has a fixed length, so no two calls give the same bytes."""
    return b"".join(
        [
            _CALL,
            certificate.fingerprint(hashes.SHA256()),
            milliseconds.to_bytes(8),
            hashlib.sha256(method.encode()).digest(),
            hashlib.sha256(request).digest(),
        ]
    )


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
