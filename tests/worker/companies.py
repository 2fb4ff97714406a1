"""Certificates as a company's own authority makes them, with RSA keys."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_LIFE = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Files:
    authority: Path
    certificate: Path
    key: Path


def rsa_files(directory: Path) -> Files:
    """An authority's certificate, and one that it made for 127.0.0.1 with its key."""
    ca_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    company, host = _name("Example Ltd CA"), _name("127.0.0.1")
    ca = _builder(company, company, ca_key.public_key()).add_extension(x509.BasicConstraints(True, 0), True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = _builder(host, company, key.public_key()).add_extension(names, False)
    files = Files(directory / "company.crt", directory / "rsa.crt", directory / "rsa.key")
    files.authority.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    files.certificate.write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return files


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + _LIFE)
