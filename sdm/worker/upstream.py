"""Connections to resources.

Names are resolved here and each address is looked at: a name that leads to a machine's own metadata service is refused,
whatever the console thought of the name. TLS is verified unless the resource says otherwise.
"""

import asyncio
import ipaddress
import os
import socket
import ssl
from functools import lru_cache

from sdm.contract.target import why_not
from sdm.transport.streams import Stream
from sdm.transport.truncation import tell_truncation
from sdm.worker.sessions.lease import Target

CONNECT_TIMEOUT = 10.0
TLS_TIMEOUT = 10.0
# A name may have many addresses; who needs more tries is not there.
MAX_ADDRESSES = 8
_EACH_TIMEOUT = 5.0
# A resource that is gone without a word is noticed after two minutes.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}

# By OpenSSL's X509_V_ERR_…: what helps, as the resource's form has it.
_UNKNOWN_AUTHORITY = (
    " If it is the right server, put its authority's certificate into the resource's field CA certificate."
)
_OTHER_NAME = " Use a host name that the certificate is for."
_ADVICE = {
    **dict.fromkeys((18, 19, 20, 21), _UNKNOWN_AUTHORITY),
    **dict.fromkeys((62, 64), _OTHER_NAME),
}

Address = tuple[str, int]


class Unreachable(Exception):
    """The resource cannot be reached, or is not who it should be; the message says why, and holds no credential."""


async def connect(target: Target) -> Stream:
    """To the first of the target's addresses that answers, without TLS."""
    where = f"{target.hostname}:{target.port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await _first(await addresses(target), where)
    except TimeoutError:
        raise Unreachable(f"{where} does not answer: no connection within {CONNECT_TIMEOUT:.0f} s.") from None


async def addresses(target: Target) -> list[Address]:
    """Where the target's name leads, without what may not be connected to."""
    host = target.hostname.strip("[]")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"The name {target.hostname} cannot be resolved: {error.strerror}.") from None
    wanted: list[Address] = [(str(address[0]), int(address[1])) for *_, address in found]
    refused = {host: why_not(ipaddress.ip_address(host.partition("%")[0])) for host, _ in wanted}
    allowed = [address for address in dict.fromkeys(wanted) if not refused[address[0]]]
    if not allowed:
        why = next((reason for reason in refused.values() if reason), "It has no address.")
        raise Unreachable(f"{target.hostname} may not be connected to. {why}")
    return allowed[:MAX_ADDRESSES]


async def connect_to(address: Address) -> Stream:
    """OSError when nobody answers there."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(sock)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return Stream(sock)


async def secure(stream: Stream, target: Target) -> None:
    """TLS on `stream`, with the server's certificate checked as the target says."""
    where = f"{target.hostname}:{target.port}"
    context = tls_context(target.text("certificate_authority"), target.flag("tls_insecure"))
    try:
        async with asyncio.timeout(TLS_TIMEOUT):
            await stream.start_tls(context, server_hostname=target.hostname.strip("[]"))
    except TimeoutError:
        raise Unreachable(f"{where} takes longer than {TLS_TIMEOUT:.0f} s to begin TLS.") from None
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            f"The certificate that {where} shows is not accepted: {error.verify_message.rstrip('.')}."
            f"{_ADVICE.get(error.verify_code, '')}"
        ) from None
    except OSError as error:
        raise Unreachable(f"{where} does not begin TLS: {_why(error)}.") from None


@lru_cache(maxsize=256)
def tls_context(certificate_authority: str, insecure: bool) -> ssl.SSLContext:
    """Kept: reading the system's authorities takes ten milliseconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    tell_truncation(context)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif certificate_authority:
        context.load_verify_locations(cadata=certificate_authority)
    else:
        context.load_default_certs()
    return context


def keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def _first(found: list[Address], where: str) -> Stream:
    reasons = []
    for address in found:
        try:
            async with asyncio.timeout(_EACH_TIMEOUT if len(found) > 1 else None):
                return await connect_to(address)
        except TimeoutError:
            reasons.append("it does not answer")
        except OSError as error:
            reasons.append(_why(error))
    raise Unreachable(f"{where} cannot be reached: {'; '.join(dict.fromkeys(reasons))}.")


def _why(error: OSError) -> str:
    """In a few words, without what Python adds."""
    if isinstance(error, ssl.SSLError):
        text = error.reason or "the connection broke off"
    else:
        # The loop's own words name the address once more.
        text = os.strerror(error.errno) if error.errno else str(error) or "the connection broke off"
    return text.lower().replace("_", " ")
