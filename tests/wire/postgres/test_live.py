"""Signing in to a real PostgreSQL, by each method that it knows and we do, and cancelling there."""

import datetime
import os
import pwd
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sdm.wire.postgres.authentication import Authentication, Credentials, Session
from sdm.wire.postgres.errors import PostgresError
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.scram import KeyCache, end_point
from sdm.wire.postgres.startup import SSL_REQUEST, accepts_tls, startup_message
from tests.servers import postgres

pytestmark = pytest.mark.process

PASSWORD = "p\u00e4ss\u00ad wo\u2003rd\ufb01 '"
METHODS = {
    "scram_user": "scram-sha-256",
    "md5_user": "md5",
    "clear_user": "password",
    "trusted_user": "trust",
}


@pytest.fixture(scope="module")
def server() -> Iterator[SplitResult]:
    # Not in pytest's own directory, which the server's user may not enter.
    directory = Path(tempfile.mkdtemp(prefix="sdm-wire-"))
    try:
        with postgres.server_in(directory) as url:
            _configure(directory / "data", url)
            yield urlsplit(url)
    finally:
        shutil.rmtree(directory)


def _configure(data: Path, url: str) -> None:
    rules = data / "pg_hba.conf"
    lines = [f"host all {user} 127.0.0.1/32 {method}\n" for user, method in METHODS.items()]
    rules.write_text("".join(lines) + rules.read_text())
    _write_certificate(data)
    with psycopg.connect(url, autocommit=True) as connection:
        for user, method in METHODS.items():
            kept = "md5" if method == "md5" else "scram-sha-256"
            connection.execute(f"SET password_encryption = '{kept}'")
            quoted = PASSWORD.replace("'", "''")
            connection.execute(f"CREATE USER {user} PASSWORD '{quoted}'")
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")
    _wait_for_tls(url, data.parent / "log")


def _wait_for_tls(url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url, sslmode="require").close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
        else:
            return


def _write_certificate(data: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA384())
    (data / "server.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = data / "server.key"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(private, owner.pw_uid, owner.pw_gid)


def dial(server: SplitResult) -> socket.socket:
    return socket.create_connection((server.hostname, server.port or 0), timeout=20)


def sign_in(
    connection: socket.socket,
    user: str,
    password: str,
    *,
    verified: bool = False,
    binding: bytes | None = None,
) -> Session:
    connection.sendall(startup_message([(b"user", user.encode()), (b"database", b"postgres")]))
    credentials = Credentials(user, password)
    authentication = Authentication(credentials, KeyCache(), verified_tls=verified, binding=binding)
    while (session := authentication.feed(connection.recv(65536))) is None:
        connection.sendall(authentication.data_to_send())
    return session


@pytest.mark.parametrize("user", METHODS)
def test_each_method_signs_in(server: SplitResult, user: str):
    with dial(server) as connection:
        session = sign_in(connection, user, PASSWORD, verified=True)
    assert dict(session.parameters)[b"session_authorization"] == user.encode()
    assert session.key is not None
    assert session.status == b"I"


@pytest.mark.parametrize("user", ["scram_user", "md5_user", "clear_user"])
def test_a_wrong_password_is_told_as_the_server_tells_it(server: SplitResult, user: str):
    with (
        dial(server) as connection,
        pytest.raises(PostgresError, match="password authentication failed") as raised,
    ):
        sign_in(connection, user, "wrong", verified=True)
    assert raised.value.report.sqlstate == "28P01"


def test_a_password_in_clear_text_is_not_sent_where_anybody_could_be_the_server(server: SplitResult):
    with dial(server) as connection, pytest.raises(PostgresError, match="clear text"):
        sign_in(connection, "clear_user", PASSWORD)


def test_inside_tls_the_sign_in_is_bound_to_the_servers_certificate(server: SplitResult):
    with dial(server) as plain:
        plain.sendall(SSL_REQUEST)
        assert accepts_tls(plain.recv(100))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as connection:
            certificate = connection.getpeercert(binary_form=True)
            assert certificate is not None
            binding = end_point(certificate)
            assert binding is not None
            assert len(binding) == 48
            assert sign_in(connection, "scram_user", PASSWORD, binding=binding).status == b"I"


def test_a_sign_in_bound_to_another_certificate_fails(server: SplitResult):
    with dial(server) as plain:
        plain.sendall(SSL_REQUEST)
        assert accepts_tls(plain.recv(100))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as connection, pytest.raises(PostgresError):
            sign_in(connection, "scram_user", PASSWORD, binding=b"x" * 48)


def test_a_query_is_cancelled_with_the_servers_key(server: SplitResult):
    with dial(server) as connection, dial(server) as other:
        session = sign_in(connection, "scram_user", PASSWORD)
        assert session.key is not None
        connection.sendall(message(b"Q", b"SELECT pg_sleep(60)\0"))
        with psycopg.connect(server.geturl(), autocommit=True) as watching:
            running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
            while watching.execute(running).fetchone() != (1,):
                pass
        other.sendall(session.key.request())
        assert other.recv(10) == b""
        told = b""
        while b"57014" not in told:
            piece = connection.recv(65536)
            assert piece
            told += piece
