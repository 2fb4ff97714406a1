"""What certificates look like: three profiles of leaves, and the authorities above them.

The control plane builds from these rules, and `sdm.pki.chain` holds what it is shown to them. A leaf is signed by
an authority directly; there is nothing in between.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from sdm.contract.address import canonical_host
from sdm.pki.csr import PublicKey
from sdm.pki.names import SCHEME, Kind, Name

# A clock may be so far behind that of the control plane.
BACKDATED = dt.timedelta(minutes=15)
# Of one leaf; what is longer is a mistake.
MAX_HOSTS = 20
# Short lives are the first half of revocation.
LONGEST_LIFE = dt.timedelta(days=2)
AUTHORITY_LIFE = dt.timedelta(days=5 * 365)

_NOTHING = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}
LEAF_KEY_USAGE = x509.KeyUsage(**{**_NOTHING, "digital_signature": True})
AUTHORITY_KEY_USAGE = x509.KeyUsage(**{**_NOTHING, "key_cert_sign": True})
LEAF_CONSTRAINTS = x509.BasicConstraints(ca=False, path_length=None)
# Nothing below an authority is an authority.
AUTHORITY_CONSTRAINTS = x509.BasicConstraints(ca=True, path_length=0)


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules for the leaves of one kind. An authority has the usages of its leaves and signs no others."""

    kind: Kind
    usages: tuple[ObjectIdentifier, ...]
    lifetime: dt.timedelta
    # How many hosts stand in the SAN beside the name, at most; none or at least one.
    hosts: int

    def __post_init__(self) -> None:
        if not dt.timedelta(0) < self.lifetime <= LONGEST_LIFE:
            raise ValueError(f"leaves live up to {LONGEST_LIFE}")
        if not self.usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in self.usages:
            raise ValueError("a leaf says what it may be used for")
        if not 0 <= self.hosts <= MAX_HOSTS:
            raise ValueError(f"a leaf names up to {MAX_HOSTS} hosts")
        if bool(self.hosts) != (ExtendedKeyUsageOID.SERVER_AUTH in self.usages):
            raise ValueError("a leaf names a host if it is a server's")

    @property
    def extended_key_usage(self) -> x509.ExtendedKeyUsage:
        return x509.ExtendedKeyUsage(self.usages)


WORKER = Profile(
    Kind.WORKER,
    (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    dt.timedelta(hours=24),
    hosts=1,
)
CLIENT = Profile(Kind.CLIENT, (ExtendedKeyUsageOID.CLIENT_AUTH,), dt.timedelta(hours=12), hosts=0)
CONTROL = Profile(Kind.CONTROL, (ExtendedKeyUsageOID.SERVER_AUTH,), dt.timedelta(hours=24), hosts=MAX_HOSTS)
PROFILES = {profile.kind: profile for profile in (WORKER, CLIENT, CONTROL)}


def leaf(
    name: Name, *, key: PublicKey, issuer: x509.Certificate, at: dt.datetime, hosts: Sequence[str] = ()
) -> x509.CertificateBuilder:
    """A leaf for `name`, to be signed by `issuer`; it never outlives its issuer.

    `hosts` are what peers connect to: DNS names, IPv4 addresses, or IPv6 addresses, in brackets or not. ValueError
    with a sentence for people when one is none of them.
    """
    profile = PROFILES[name.kind]
    if bool(profile.hosts) != bool(hosts):
        raise ValueError(f"a {name.kind} certificate {'needs a' if profile.hosts else 'names no'} host")
    if len(hosts) > profile.hosts:
        raise ValueError(f"a {name.kind} certificate names at most {profile.hosts} hosts")
    ends = min(at + profile.lifetime, issuer.not_valid_after_utc)
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(name))]
    alternatives += [_host_name(host) for host in hosts]
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(_common_name(name.subject_id), issuer.subject, key, at - BACKDATED, ends)
        .add_extension(LEAF_CONSTRAINTS, critical=True)
        .add_extension(LEAF_KEY_USAGE, critical=True)
        .add_extension(profile.extended_key_usage, critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )


def authority(
    kind: Kind, *, label: str, trust_domain: str, key: PublicKey, at: dt.datetime
) -> x509.CertificateBuilder:
    """The certificate of an authority that signs leaves of `kind`, to be signed with its own key.

    `label` differs between two of one installation: some programs tell authorities apart by their subject.
    """
    subject = _common_name(label)
    return (
        _builder(subject, subject, key, at - BACKDATED, at + AUTHORITY_LIFE)
        .add_extension(AUTHORITY_CONSTRAINTS, critical=True)
        .add_extension(AUTHORITY_KEY_USAGE, critical=True)
        .add_extension(PROFILES[kind].extended_key_usage, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(SCHEME + trust_domain)]),
            critical=False,
        )
    )


def renew_at(certificate: x509.Certificate, *, chance: float) -> dt.datetime:
    """When to renew it: half-way through its life, give or take a tenth of the life.

    `chance` is a random number from 0 to 1. It keeps a thousand workers that joined together from renewing together.
    """
    begins = certificate.not_valid_before_utc + BACKDATED
    return begins + (certificate.not_valid_after_utc - begins) * (0.4 + 0.2 * chance)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, begins: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host_name(text: str) -> x509.GeneralName:
    host = canonical_host(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        # Names, and addresses such as 10.0.0.021, which programs that read them differently compare as text.
        return x509.DNSName(host.removesuffix("."))
