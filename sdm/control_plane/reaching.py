"""Why the control plane does not answer, in words. What gRPC says of it is for those who work on gRPC."""

import asyncio
import hashlib
import importlib.resources
import os
import socket
import ssl

from cryptography import x509

from sdm.contract.reasons import Reason
from sdm.control_plane.certificates import check_clock, check_name, shown_chain
from sdm.control_plane.refusals import NOT_OURS, ControlError
from sdm.control_plane.where import ControlPlane

TIMEOUT = 5.0
# RFC 9113, 3.4: what a client begins with, with settings that change nothing. A server answers with its own.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")
_FRAME_HEAD, _SETTINGS = 9, 4
# X509_V_ERR_HOSTNAME_MISMATCH; what comes before it was in order.
_OTHER_HOST = 62

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def explain(where: ControlPlane) -> None:
    """ControlError with what is wrong there; nothing when it looks like a control plane, and a call may succeed now."""
    context = None if where.plaintext else _unchecked() if where.pins else _public()
    if await _speaks_http2(await reach(where, context), where):
        return
    if where.plaintext:
        await _explain_tls(where)
    raise ControlError(Reason.UNAVAILABLE, NOT_OURS.format(name=where))


async def resolve(where: ControlPlane) -> list[str]:
    """Its addresses."""
    try:
        async with asyncio.timeout(TIMEOUT):
            answers = await asyncio.get_running_loop().getaddrinfo(
                where.host.strip("[]"), where.port, type=socket.SOCK_STREAM
            )
    except TimeoutError:
        why = f"no answer within {TIMEOUT:.0f} s"
    except socket.gaierror as error:
        why = str(error.strerror)
    else:
        return sorted({str(answer[4][0]) for answer in answers})
    raise ControlError(Reason.UNAVAILABLE, f"The name {where.host} cannot be resolved: {why}.")


async def reach(where: ControlPlane, context: ssl.SSLContext | None = None) -> Connection:
    """A connection, over TLS with a context."""
    await resolve(where)
    try:
        async with asyncio.timeout(TIMEOUT):
            return await asyncio.open_connection(where.host.strip("[]"), where.port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        raise await _not_believed(where, error) from None
    except (ssl.SSLError, ConnectionResetError):
        raise ControlError(
            Reason.UNAVAILABLE, f"{where} answers, but does not speak TLS: is this the API's port?"
        ) from None
    except TimeoutError:
        why = f"{where} does not answer within {TIMEOUT:.0f} s."
    except ConnectionRefusedError:
        why = f"Nobody listens at {where}."
    except OSError as error:
        # Without a number it stands for several, one for each address.
        reason = os.strerror(error.errno) if error.errno else "none of its addresses answers"
        why = f"{where} cannot be reached: {reason}."
    raise ControlError(Reason.UNAVAILABLE, why)


async def fetch_chain(where: ControlPlane) -> list[bytes]:
    """The certificates that are shown there, in DER. None of them is believed yet."""
    _, writer = await reach(where, _unchecked())
    chain = shown_chain(writer)
    writer.transport.abort()
    return chain


async def _speaks_http2(connection: Connection, where: ControlPlane) -> bool:
    reader, writer = connection
    try:
        async with asyncio.timeout(TIMEOUT):
            writer.write(_PREFACE)
            head = await reader.readexactly(_FRAME_HEAD)
    except TimeoutError:
        raise ControlError(Reason.UNAVAILABLE, f"{where} accepts connections, and says nothing.") from None
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.transport.abort()
    return head[3] == _SETTINGS


async def _explain_tls(where: ControlPlane) -> None:
    """Spoken to in the clear: perhaps it is a certificate that has to be pinned."""
    try:
        connection = await reach(where, _unchecked())
    except ControlError:
        return
    chain = shown_chain(connection[1])
    if await _speaks_http2(connection, where):
        raise _to_be_pinned(where, chain)


async def _not_believed(where: ControlPlane, error: ssl.SSLCertVerificationError) -> ControlError:
    chain = await fetch_chain(where)
    leaf = x509.load_der_x509_certificate(chain[0])
    try:
        check_clock(leaf)
        if error.verify_code == _OTHER_HOST:
            check_name(leaf, where)
    except ControlError as known:
        return known
    if len(chain) > 1 or leaf.issuer == leaf.subject:
        return _to_be_pinned(where, chain)
    return ControlError(
        Reason.UNAVAILABLE,
        f"The certificate of {where} is not accepted: {error.verify_message}. If an authority of your own signed it, "
        "set SDM_APP_CA_PIN, and let the control plane show that authority's certificate too.",
    )


def _to_be_pinned(where: ControlPlane, chain: list[bytes]) -> ControlError:
    return ControlError(
        Reason.UNAVAILABLE,
        f"{where} shows a certificate that no public authority signed: set SDM_APP_CA_PIN to sha256:"
        f"{hashlib.sha256(chain[-1]).hexdigest()}, and compare it with the console's page Settings, Certificates.",
    )


def _public() -> ssl.SSLContext:
    """The authorities that gRPC believes."""
    chosen = os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    bundled = importlib.resources.files("grpc") / "_cython" / "_credentials" / "roots.pem"
    context = ssl.create_default_context(cadata=None if chosen else bundled.read_text(), cafile=chosen)
    context.set_alpn_protocols(["h2"])
    return context


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context
