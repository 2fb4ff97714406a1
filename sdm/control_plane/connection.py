"""A gRPC channel to the control plane.

Over TLS by the public authorities, or by one that is pinned: gRPC cannot check a pin by itself, so the chain is fetched
first, the authority with a pinned fingerprint is taken from it, and only what that one signed is believed. In the
clear on loopback alone.
"""

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from cryptography import x509
from grpc import aio

from sdm.contract.reasons import Reason
from sdm.control_plane.certificates import check_clock, check_name
from sdm.control_plane.reaching import explain, fetch_chain
from sdm.control_plane.refusals import ControlError, NoAnswer
from sdm.control_plane.where import ControlPlane

_OPTIONS = [
    # Whether and when to try again is ours to say: each attempt has a channel of its own, which tries once.
    # Otherwise channels to one address share its connection, and the pauses that gRPC makes by itself.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 60_000),
    ("grpc.max_reconnect_backoff_ms", 60_000),
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
    """A channel; of what goes wrong on it the cause is looked for, when gRPC does not know one for people."""
    if where.plaintext:
        channel = aio.insecure_channel(str(where), options=_LOOPBACK_OPTIONS)
    else:
        roots = await pinned_authority(where) if where.pins else None
        channel = aio.secure_channel(str(where), grpc.ssl_channel_credentials(roots), options=_OPTIONS)
    try:
        yield channel
    except NoAnswer:
        await channel.close()
        await explain(where)
        raise
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
