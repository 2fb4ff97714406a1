"""Signing in: a person approves in a browser, or a service account shows its token."""

import asyncio
import datetime as dt
import socket
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sdm.client.calls import Calls, person_of
from sdm.client.identity import Identity
from sdm.contract.v1 import clients_pb2 as pb
from sdm.control_plane.connection import connect
from sdm.control_plane.where import ControlPlane
from sdm.pki import csr

# A server that says less does not get more calls.
_SHORTEST_POLL = 1.0

ShowCode = Callable[[str, str], None]


class LoginFailed(Exception):
    """Nobody is signed in; the message says why."""


async def with_browser(where: ControlPlane, show: ShowCode) -> Identity:
    """`show` is given the code to compare and the address to open; then it is waited for the person."""
    key = csr.new_key()
    async with connect(where) as channel:
        calls = Calls(channel, str(where))
        begun = await calls.begin_login(_host_name())
        show(begun.code, begun.url)
        pause = max(begun.poll_seconds, _SHORTEST_POLL)
        while True:
            await asyncio.sleep(pause)
            response = await calls.finish_login(begun, csr.new_csr(key))
            if response.state != pb.LOGIN_STATE_PENDING:
                break
    if response.state == pb.LOGIN_STATE_DENIED:
        raise LoginFailed("The sign-in was denied in the browser.")
    if response.state != pb.LOGIN_STATE_APPROVED:
        raise LoginFailed("Nobody approved the sign-in in time. Say sdm login again.")
    return _identity(where, key, response)


async def with_token(where: ControlPlane, token: str) -> Identity:
    key = csr.new_key()
    async with connect(where) as channel:
        response = await Calls(channel, str(where)).login_with_token(token, csr.new_csr(key), _host_name())
    return _identity(where, key, response)


def _identity(
    where: ControlPlane, key: ec.EllipticCurvePrivateKey, response: pb.FinishLoginResponse
) -> Identity:
    certificate = x509.load_pem_x509_certificate(response.certificate.chain)
    ends_at = response.ends_at.ToDatetime(dt.UTC)
    return Identity(where, person_of(response.person), key, certificate, ends_at)


def _host_name() -> str:
    return socket.gethostname()[:253]
