"""The API over TLS with files of an operator's, which may be replaced while it runs."""

import asyncio
import datetime as dt
import ipaddress
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command

from api import tls
from api.serving import CannotListen, serving
from sdm.contract.v1 import workers_pb2 as v1
from sdm.contract.v1.workers_pb2_grpc import WorkersStub
from sdm.pki import csr
from tests.api.conftest import Ground


def make_pair(directory: Path) -> bytes:
    """A new certificate for this machine with its key, in files; the certificate."""
    key, now = csr.new_key(), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(here, critical=False)
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    (directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (directory / "certificate.pem").write_bytes(pem)
    return pem


async def asks(port: int, trusted: bytes, access_key: str) -> bytes:
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = grpc.ssl_channel_credentials(trusted)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        request = v1.GetChallengeRequest(access_key=access_key)
        answer: v1.GetChallengeResponse = await WorkersStub(channel).GetChallenge(request, timeout=10)
        return answer.nonce


def test_a_certificate_that_was_replaced_is_shown_from_then_on(ground: Ground, tmp_path: Path):
    first = make_pair(tmp_path)
    files = tls.Files(tmp_path / "certificate.pem", tmp_path / "key.pem")

    async def scene() -> None:
        async with serving("127.0.0.1:0", files) as port:
            assert await asks(port, first, ground.key.pk)
            (tmp_path / "certificate.pem").rename(tmp_path / "away.pem")
            assert await asks(port, first, ground.key.pk)  # half-way between two, the old one stays
            second = make_pair(tmp_path)
            assert await asks(port, second, ground.key.pk)
            with pytest.raises(grpc.aio.AioRpcError):
                await asks(port, first, ground.key.pk)

    asyncio.run(scene())


def test_a_port_that_is_taken_is_named(ground: Ground, settings):
    async def scene() -> None:
        async with serving("127.0.0.1:0") as port:
            with pytest.raises(CannotListen, match=f"Cannot listen on 127.0.0.1:{port}"):
                async with serving(f"127.0.0.1:{port}"):
                    pass

    asyncio.run(scene())


def test_files_that_cannot_be_read_stop_the_start_with_a_sentence(settings):
    settings.API_TLS_CERT_FILE, settings.API_TLS_KEY_FILE = "/nowhere/a.pem", "/nowhere/b.pem"
    with pytest.raises(CommandError, match=r"/nowhere/a\.pem cannot be read: No such file"):
        call_command("serve_api")
