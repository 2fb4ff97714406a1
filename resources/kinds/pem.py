"""Certificates and private keys as people paste them, each error with what would be right."""

from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from django.core.exceptions import ValidationError
from django.utils import timezone

_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"


def check_certificates(text: str) -> str:
    """One or more certificates in PEM, as they are stored."""
    text = _lines(text)
    if "PRIVATE KEY" in text:
        raise ValidationError(
            "This holds a private key, which has no place here. Paste only the certificate."
        )
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValidationError(
            "This is no certificate in PEM. It begins with -----BEGIN CERTIFICATE----- and ends with "
            "-----END CERTIFICATE-----."
        ) from None
    now = timezone.now()
    for certificate in certificates:
        if certificate.not_valid_after_utc < now:
            day = certificate.not_valid_after_utc.date().isoformat()
            raise ValidationError(f"The certificate expired on {day}. Paste the current one.")
    return text


def check_private_key(text: str) -> str:
    """A private key for SSH, in OpenSSH's format or PEM, without a passphrase. No message holds any of it."""
    text = _lines(text)
    _refuse_other_files(text)
    try:
        key = _load(text)
    except TypeError:
        # What the library raises when a passphrase would be needed.
        raise ValidationError(
            "This key is protected by a passphrase. Store a copy without one, made with: "
            "ssh-keygen -p -N '' -f copy-of-the-key"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValidationError(
            "This is no private key in OpenSSH or PEM format. Paste the whole file, with its first and last line."
        ) from None
    if isinstance(key, dsa.DSAPrivateKey):
        raise ValidationError("DSA keys are refused by SSH servers. Use Ed25519, ECDSA or RSA.")
    return text


def _refuse_other_files(text: str) -> None:
    if text.startswith(("ssh-", "ecdsa-", "-----BEGIN PUBLIC KEY", "-----BEGIN SSH2 PUBLIC KEY")):
        raise ValidationError("This is the public half. Paste the private key: the file without .pub.")
    if text.startswith("PuTTY-User-Key-File"):
        raise ValidationError("This is PuTTY's format. Convert it with: puttygen key.ppk -O private-openssh")
    if text.startswith("-----BEGIN CERTIFICATE"):
        raise ValidationError("This is a certificate. Paste the private key.")


def _load(text: str) -> Any:
    load = load_ssh_private_key if text.startswith(_OPENSSH) else load_pem_private_key
    return load(text.encode(), password=None)


def _lines(text: str) -> str:
    """Browsers send CRLF, and OpenSSH wants a line end after the last line."""
    return text.replace("\r\n", "\n").strip() + "\n"
