"""Authorities and certificates as they should be, and as somebody hostile would make them."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from sdm.pki import csr, profiles
from sdm.pki.names import ClientName, ControlName, Kind, Name, WorkerName

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
DOMAIN = "console.example.com"
CLUSTER, OTHER_CLUSTER = "n-5d41402abc4b2a76", "n-aaaaaaaaaaaaaaaa"
WORKER = WorkerName(DOMAIN, CLUSTER, "w-5d41402abc4b2a76")
CLIENT = ClientName(DOMAIN, "a-5d41402abc4b2a76")
CONTROL = ControlName(DOMAIN)
HOST = "edge.example.com"

Change = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


@dataclass(frozen=True)
class Signed:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return to_pem(self.certificate)


def to_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def make_authority(
    kind: Kind = Kind.WORKER,
    *,
    at: dt.datetime = NOW,
    domain: str = DOMAIN,
    label: str = "CA",
    change: Change = lambda builder: builder,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Signed:
    key = key or csr.new_key()
    builder = profiles.authority(kind, label=label, trust_domain=domain, key=key.public_key(), at=at)
    return Signed(change(builder).sign(key, hashes.SHA256()), key)


def make_leaf(
    issuer: Signed,
    name: Name = WORKER,
    *,
    at: dt.datetime = NOW,
    change: Change = lambda builder: builder,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Signed:
    key = key or csr.new_key()
    hosts = [] if name.kind is Kind.CLIENT else [HOST]
    builder = profiles.leaf(name, key=key.public_key(), issuer=issuer.certificate, at=at, hosts=hosts)
    return Signed(change(builder).sign(issuer.key, hashes.SHA256()), key)


def with_extension(extension: x509.ExtensionType, *, critical: bool = False) -> Change:
    """The builder with this extension instead of the one of its type."""

    def change(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        return without(type(extension))(builder).add_extension(extension, critical)

    return change


def without(kind: type[x509.ExtensionType]) -> Change:
    def change(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        kept = [each for each in builder._extensions if not isinstance(each.value, kind)]
        bare = x509.CertificateBuilder(
            builder._issuer_name,
            builder._subject_name,
            builder._public_key,
            builder._serial_number,
            builder._not_valid_before,
            builder._not_valid_after,
            [],
        )
        for each in kept:
            bare = bare.add_extension(each.value, each.critical)
        return bare

    return change
