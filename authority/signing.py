"""The one place where the private key of an authority is in the clear: in memory, while it signs."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

import sealing
from authority.models import AuthorityKey, CertificateAuthority
from sdm.pki import chain, csr, profiles
from sdm.pki.csr import PublicKey
from sdm.pki.names import Kind, Name

# An active one for each purpose, and what a rotation brings.
_KEPT_OPEN = 8


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def trust_domain(self) -> str:
        return chain.trust_domain_of(self.certificate)

    def sign(
        self, name: Name, *, key: PublicKey, at: dt.datetime, hosts: Sequence[str] = ()
    ) -> x509.Certificate:
        builder = profiles.leaf(name, key=key, issuer=self.certificate, at=at, hosts=hosts)
        return builder.sign(self.key, hashes.SHA256())


def new_signer(kind: Kind, *, label: str, trust_domain: str, at: dt.datetime) -> Signer:
    """A new authority with a key of its own."""
    key = csr.new_key()
    builder = profiles.authority(kind, label=label, trust_domain=trust_domain, key=key.public_key(), at=at)
    return Signer(builder.sign(key, hashes.SHA256()), key)


def seal_key(signer: Signer, authority: CertificateAuthority) -> AuthorityKey:
    """The key of `signer`, sealed as that of `authority`; not saved."""
    row = AuthorityKey(authority=authority)
    plain = signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    row.sealed = sealing.seal(plain, context=row.context)
    row.key_id = sealing.key_id(row.sealed)
    return row


def signer_of(authority: CertificateAuthority) -> Signer:
    """A SealingError when the sealing key is not there."""
    return _open(authority.certificate, bytes(authority.key.sealed), authority.key.context)


@lru_cache(maxsize=_KEPT_OPEN)
def _open(certificate: str, sealed: bytes, context: str) -> Signer:
    """Opened once: it costs more than to sign."""
    key = load_der_private_key(sealing.unseal(sealed, context=context), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # for the type checker: we made it
    return Signer(chain.read(certificate), key)
