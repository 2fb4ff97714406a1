"""Certificate signing requests: what a worker or a client sends to prove that it has a key.

Only the key is taken from a request. Names and extensions in it are ignored: who somebody is, the control
plane knows from how they proved it.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

# Ours has some 300 bytes; a request of a key server with names and attributes stays below this.
MAX_LENGTH = 4096
# RSA is left out: it is slow to sign with, and a huge modulus is slow to check. Ed25519 is not spoken by all
# that terminate TLS.
CURVES = (ec.SECP256R1, ec.SECP384R1)

# What requests and certificates, or parts of them, raise when they make no sense.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

PublicKey = ec.EllipticCurvePublicKey


class BadRequest(ValueError):
    """The request cannot be answered with a certificate; the message says why."""


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def new_csr(key: ec.EllipticCurvePrivateKey) -> str:
    """A request for a certificate of `key`, in PEM."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def read(pem: str | bytes) -> PublicKey:
    """The key that `pem` asks a certificate for and has signed with; BadRequest when there is none such."""
    if len(pem) > MAX_LENGTH:
        raise BadRequest(f"A certificate request has at most {MAX_LENGTH:,} bytes.")
    raw = pem.encode("utf-8", "replace") if isinstance(pem, str) else pem
    try:
        request = x509.load_pem_x509_csr(raw)
        key = request.public_key()
        signed = request.is_signature_valid
    except UNREADABLE:
        raise BadRequest("This is not a certificate request in PEM that can be read here.") from None
    if not signed:
        raise BadRequest("The certificate request is not signed with the key that it is for.")
    return check_key(key)


def check_key(key: object) -> PublicKey:
    """`key`, if certificates are made for its kind."""
    if not isinstance(key, PublicKey) or not isinstance(key.curve, CURVES):
        raise BadRequest("Certificates are made for elliptic curve keys on P-256 and P-384 alone.")
    return key
