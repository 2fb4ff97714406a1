"""One connection to a resource through a worker of its cluster.

TLS with our certificate to the cluster's advertised address, and a request for an upgrade that carries the ticket and a
proof that it is ours. After `101` it is the resource that speaks. An upgrade and no CONNECT: balancers that end TLS
pass it on.
"""

import asyncio
import datetime as dt
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

import h11
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdm.client.identity import Identity
from sdm.client.tickets import Permission, trust
from sdm.contract import proof
from sdm.pki import chain
from sdm.pki.names import Kind
from sdm.transport.streams import Stream

PROTOCOL = "sdm-tunnel"
TIMEOUT = 20.0
_CHUNK = 16 * 1024
_MAX_HEAD = 16 * 1024
_MAX_BODY = 16 * 1024
_MAX_WORDS = 500


class TunnelFailed(Exception):
    """There is no connection; the message is for the person. `reason` is the worker's word, if it gave one."""

    def __init__(self, message: str, *, reason: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


def context_for(permission: Permission, me: Identity) -> ssl.SSLContext:
    """TLS to the workers of one cluster."""
    try:
        context = trust(permission.authorities)
        # `ssl` takes keys from files alone; this one is in memory, so that a full disk keeps nobody from connecting.
        with open(os.memfd_create("pair"), "w", encoding="ascii") as file:
            file.write(me.chain_pem + me.key_pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    except OSError as error:
        raise TunnelFailed(
            f"TLS to {permission.where} cannot begin on this machine: {_reason(error)}."
        ) from None
    return context


async def dial(
    resource_id: str, permission: Permission, me: Identity, context: ssl.SSLContext
) -> tuple[Stream, bytes]:
    """A stream to the resource, and what it has sent already."""
    async with _to_cluster(permission):
        stream = await _secured(permission, context)
        try:
            return stream, await _upgraded(stream, resource_id, permission, me)
        except BaseException:
            stream.close()
            raise


async def try_out(permission: Permission, context: ssl.SSLContext, within: float) -> None:
    """TunnelFailed when no worker of the cluster answers."""
    async with _to_cluster(permission, within):
        (await _secured(permission, context)).close()


@asynccontextmanager
async def _to_cluster(permission: Permission, within: float = TIMEOUT) -> AsyncIterator[None]:
    """What goes wrong here is said in words."""
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError:
        raise TunnelFailed(
            f"The cluster's address {permission.where} did not answer within {within:.0f} seconds."
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise TunnelFailed(
            f"Whoever answers at {permission.where} is not a worker of this cluster: {error.verify_message}."
        ) from None
    except OSError as error:
        raise TunnelFailed(
            f"The cluster's address {permission.where} cannot be reached: {_reason(error)}."
        ) from None


def _reason(error: OSError) -> str:
    if error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        # What asyncio says of a connection names the address once more, and not what is wrong.
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def _secured(permission: Permission, context: ssl.SSLContext) -> Stream:
    stream = Stream(await _connected(permission))
    try:
        await stream.start_tls(context, server_hostname=permission.host)
        if problem := _why_not(stream.certificate() or b"", permission.authorities, permission.cluster_id):
            raise TunnelFailed(
                f"Whoever answers at {permission.where} is not a worker of this cluster: {problem}"
            )
    except BaseException:
        stream.close()
        raise
    return stream


@lru_cache(maxsize=16)
def _why_not(shown: bytes, authorities: str, cluster_id: str) -> str:
    """Why this certificate, whose name TLS has checked, is not of the cluster; empty when it is.

    The control plane's authorities sign for the workers of all clusters, several of which may be on one host. For what
    is signed by a public one, the name is all there is.
    """
    found = x509.load_pem_x509_certificates(authorities.encode()) if authorities else []
    pems = [each.public_bytes(Encoding.PEM) for each in found]
    try:
        chain.trust(Kind.WORKER, pems).verify_worker(
            x509.load_der_x509_certificate(shown), cluster_id=cluster_id, at=dt.datetime.now(dt.UTC)
        )
    except chain.UnknownAuthority:
        return ""
    except (chain.Untrusted, ValueError) as error:
        return str(error)
    return ""


async def _connected(permission: Permission) -> socket.socket:
    """The first of the host's addresses that takes a connection."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(permission.host, permission.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


async def _upgraded(stream: Stream, resource_id: str, permission: Permission, me: Identity) -> bytes:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    proved = proof.of_call(
        me.key,
        me.certificate,
        method=f"CONNECT {resource_id}",
        request=permission.ticket.encode(),
        at=dt.datetime.now(dt.UTC),
    )
    headers = [
        ("Host", permission.where),
        ("Connection", "Upgrade"),
        ("Upgrade", PROTOCOL),
        ("Proxy-Authorization", f"Bearer {permission.ticket}"),
        ("Sdm-Client-Proof", proved),
    ]
    request = http.send(h11.Request(method="GET", target=f"/{resource_id}", headers=headers))
    await stream.send((request or b"") + (http.send(h11.EndOfMessage()) or b""))
    answer = await _event(stream, http)
    if isinstance(answer, h11.InformationalResponse) and answer.status_code == 101:
        return http.trailing_data[0]
    if isinstance(answer, h11.Response):
        raise _refusal(answer.status_code, await _body(stream, http))
    raise TunnelFailed(
        f"What answers at {permission.where} is no worker, or a balancer that does not pass upgrades on."
    )


async def _event(stream: Stream, http: h11.Connection) -> h11.Event | None:
    """The next event; None when what comes is no HTTP, or nothing comes."""
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError:
            return None
        if event is not h11.NEED_DATA:
            return event if isinstance(event, h11.Event) else None
        http.receive_data(await stream.receive(_CHUNK))


async def _body(stream: Stream, http: h11.Connection) -> bytes:
    body = b""
    while len(body) < _MAX_BODY and isinstance(data := await _event(stream, http), h11.Data):
        body += data.data
    return body


def _refusal(status: int, body: bytes) -> TunnelFailed:
    """From problem+json (RFC 9457), if that is what it is."""
    try:
        problem = json.loads(body)
        reason = _plain(str(problem.get("reason", "")))
        return TunnelFailed(_plain(str(problem["detail"])), reason=reason, status=status)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if status == 404:
            return TunnelFailed(
                "The worker does not know this kind of request. Is it older than this sdm?", status=404
            )
        return TunnelFailed(f"The cluster answered with status {status}.", status=status)


def _plain(text: str) -> str:
    """A worker's words on one line, with nothing in them that a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in text[:_MAX_WORDS])
