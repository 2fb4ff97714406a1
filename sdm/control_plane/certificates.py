"""What the control plane's certificates say of themselves, before they are believed."""

import asyncio
import datetime as dt
import ssl

from cryptography import x509

from sdm.contract.reasons import Reason
from sdm.control_plane.refusals import ControlError
from sdm.control_plane.where import ControlPlane


def shown_chain(writer: asyncio.StreamWriter) -> list[bytes]:
    """In DER, the server's own first."""
    # `SSLSocket.get_unverified_chain` is public from Python 3.13 on.
    chain = writer.get_extra_info("ssl_object")._sslobj.get_unverified_chain() or []
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]


def check_clock(leaf: x509.Certificate) -> None:
    """ControlError when the certificate is not valid at this moment: it is nearly always this machine's clock."""
    now, begins, ends = dt.datetime.now(dt.UTC), leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not begins <= now <= ends:
        raise ControlError(
            Reason.CLOCK,
            f"The control plane's certificate is valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC, and "
            f"this machine's clock says {now:%Y-%m-%d %H:%M}. Set it, with NTP for one.",
        )


def check_name(leaf: x509.Certificate, where: ControlPlane) -> None:
    """ControlError when it is for other hosts. gRPC looks again, but does not say what the certificate is for."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    hosts = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    if where.host.strip("[]") in hosts or any(host.startswith("*") for host in hosts):
        return
    raise ControlError(
        Reason.UNAVAILABLE,
        f"The control plane's certificate is for {', '.join(hosts) or 'no host'}, and not for {where.host}. Name one "
        "of them in SDM_APP_DOMAIN, or add this one to CONSOLE_API_NAMES of the console.",
    )
