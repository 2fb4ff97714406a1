"""A gRPC channel to the control plane.

Over TLS by the public authorities, or by one that is pinned: gRPC cannot check a pin by itself, so the chain is fetched
first, the authority with a pinned fingerprint is taken from it, and only what that one signed is believed. In the
clear on loopback alone.
"""

import asyncio
import datetime as dt
import hashlib
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from cryptography import x509
from grpc import aio

from sdm.contract.reasons import Reason
from sdm.control_plane.refusals import ControlError
from sdm.control_plane.where import ControlPlane

log = logging.getLogger(__name__)

_FETCH_TIMEOUT = 10.0
_OPTIONS = [
    # Ours are the pauses between attempts; gRPC's own would add to them.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A connection that died without a word, as when a laptop wakes in another network, is noticed within half a
    # minute: without these a stream on which nothing happens would be believed for ever.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Of pings for other purposes: while one is out, no other is sent.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
]
_LOOPBACK_OPTIONS = [*_OPTIONS, ("grpc.enable_http_proxy", 0)]


class WrongPin(ControlError):
    """Whoever answers there is not under the pinned authority."""


@asynccontextmanager
async def connect(where: ControlPlane) -> AsyncIterator[aio.Channel]:
    if where.plaintext:
        channel = aio.insecure_channel(str(where), options=_LOOPBACK_OPTIONS)
    else:
        roots = await pinned_authority(where) if where.pins else None
        channel = aio.secure_channel(str(where), grpc.ssl_channel_credentials(roots), options=_OPTIONS)
    try:
        yield channel
    finally:
        await channel.close()


async def pinned_authority(where: ControlPlane) -> bytes:
    """The certificate with a pinned fingerprint, in PEM, from the chain that the control plane shows."""
    chain = await fetch_chain(where)
    shown = {hashlib.sha256(der).hexdigest(): der for der in chain}
    pinned = [der for fingerprint, der in shown.items() if fingerprint in where.pins]
    if not pinned:
        # The last is the authority, or the closest to it.
        raise WrongPin(
            Reason.UNAVAILABLE,
            f"SDM_APP_CA_PIN names no certificate that {where} shows. Either somebody else answers there, or its "
            f"authority was replaced: the one shown is sha256:{[*shown][-1] if shown else 'none'}. Compare it with the "
            "page Settings, Certificates of the console.",
        )
    leaf = x509.load_der_x509_certificate(chain[0])
    check_clock(leaf)
    check_name(leaf, where)
    return "".join(map(ssl.DER_cert_to_PEM_cert, pinned)).encode()


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


async def fetch_chain(where: ControlPlane) -> list[bytes]:
    """The certificates that are shown there, in DER. None of them is believed yet."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    unchecked.set_alpn_protocols(["h2"])
    try:
        async with asyncio.timeout(_FETCH_TIMEOUT):
            _, writer = await asyncio.open_connection(where.host.strip("[]"), where.port, ssl=unchecked)
    except (OSError, TimeoutError) as error:
        reason = str(error) or "it does not answer"
        raise ControlError(
            Reason.UNAVAILABLE, f"The control plane at {where} cannot be reached: {reason}."
        ) from None
    # `SSLSocket.get_unverified_chain` is public from Python 3.13 on.
    chain = writer.get_extra_info("ssl_object")._sslobj.get_unverified_chain() or []
    writer.transport.abort()
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]
