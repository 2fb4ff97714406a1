"""Whether the advertised address answers: each step that can fail is told apart, and none takes long."""

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.utils import timezone

from authority.services import issue_worker
from clusters import reach
from clusters.models import Cluster
from clusters.services import cluster_update
from sdm.contract.address import Address
from sdm.pki import csr
from tests.clusters.factories import make_cluster

Reach = Cluster.Reach


@contextmanager
def listening(context: ssl.SSLContext | None, greeting: bytes = b"220 not TLS\r\n") -> Iterator[Address]:
    """Something that accepts one connection after another, and speaks TLS if told how."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:
                    return
                with plain:
                    try:
                        if context:
                            context.wrap_socket(plain, server_side=True).close()
                        else:
                            plain.sendall(greeting)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("127.0.0.1", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def shows(directory: Path, chain: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> ssl.SSLContext:
    (directory / "chain.pem").write_text(chain)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "key.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "chain.pem", directory / "key.pem")
    return context


def worker_of(cluster: Cluster, directory: Path) -> ssl.SSLContext:
    key = csr.new_key()
    issued = issue_worker(
        cluster_id=cluster.pk, worker_id="w-5d41402abc4b2a76", csr_pem=csr.new_csr(key), host="127.0.0.1"
    )
    return shows(directory, issued.chain, key)


def tried(cluster: Cluster, address: Address) -> Cluster:
    Cluster.objects.filter(pk=cluster.pk).update(address=str(address))
    cluster.refresh_from_db()
    reach.reach_check(cluster)
    cluster.refresh_from_db()
    return cluster


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee")


def test_a_worker_of_the_cluster(cluster, tmp_path):
    with listening(worker_of(cluster, tmp_path)) as address:
        found = tried(cluster, address)
    assert found.reach == Reach.GOOD
    assert found.reach_at is not None


def test_a_worker_of_another_cluster(cluster, tmp_path):
    with listening(worker_of(make_cluster("other"), tmp_path)) as address:
        assert tried(cluster, address).reach == Reach.CLUSTER


def stranger(
    directory: Path,
    *,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    days: int = 1,
    is_ca: bool = False,
) -> ssl.SSLContext:
    """Signed by itself, as `openssl req -x509` does it, which makes an authority unless told otherwise."""
    ends = timezone.now() + dt.timedelta(days=days)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proxy.example.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(ends - dt.timedelta(days=9)).not_valid_after(ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    return shows(directory, pem, key)


@pytest.mark.parametrize("is_ca", [True, False])
@pytest.mark.parametrize("kind", ["elliptic", "rsa"])
def test_a_certificate_from_elsewhere(cluster, tmp_path, kind, is_ca):
    worker_of(cluster, tmp_path)  # there is an authority, and it is another
    key = csr.new_key() if kind == "elliptic" else rsa.generate_private_key(65537, 2048)
    with listening(stranger(tmp_path, key=key, is_ca=is_ca)) as address:
        found = tried(cluster, address)
    assert found.reach == Reach.FOREIGN
    assert "proxy.example.com" not in found.reach_words  # nothing of what answers is told
    assert "signed by itself" in found.reach_words
    assert "SDM_TLS_CERT_SOURCE=file" in found.reach_words
    assert "A worker answers" not in found.reach_words


@pytest.mark.parametrize(("days", "says"), [(-1, "expired on 20"), (30, "begins on 20")])
def test_a_certificate_from_elsewhere_at_the_wrong_time(cluster, tmp_path, days, says):
    with listening(stranger(tmp_path, key=csr.new_key(), days=days)) as address:
        found = tried(cluster, address)
    assert found.reach == Reach.CERTIFICATE
    assert says in found.reach_words
    assert found.reach_words.startswith("What answers")


def test_a_worker_that_speaks_for_a_balancer(cluster):
    """It hangs up when a PROXY header is due and TLS comes, and answers in the clear where TLS is not its own."""
    with listening(None, greeting=b"") as address:
        assert "SDM_PROXY_PROTOCOL_TRUSTED" in tried(cluster, address).reach_words
    with listening(None, greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert "SDM_TLS_CERT_SOURCE=none" in tried(cluster, address).reach_words


def test_a_server_that_refuses_the_handshake(cluster, tmp_path):
    context = stranger(tmp_path, key=csr.new_key())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA256")  # for RSA keys alone
    with listening(context) as address:
        found = tried(cluster, address)
    assert found.reach == Reach.TLS
    assert "refuses the control plane" in found.reach_words


def test_words_with_the_longest_address_fit(cluster, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    found = tried(cluster, Address(".".join(["a" * 60] * 4) + ".example", 65535))
    assert found.reach == Reach.DNS


def test_another_address_was_not_tried_yet(alice, cluster):
    before = tried(cluster, Address("127.0.0.1", 1))
    elsewhere = Address("10.0.0.9", 443)
    cluster_update(
        actor=alice, cluster=before, version=before.version, name=before.name, address=elsewhere, tags={}
    )
    after = Cluster.objects.get(pk=cluster.pk)
    assert (after.reach, after.reach_words, after.reach_at) == (Reach.UNTRIED, "", None)


def test_an_expired_certificate(cluster, tmp_path, monkeypatch):
    later = timezone.now() + dt.timedelta(days=2)
    with listening(worker_of(cluster, tmp_path)) as address:
        monkeypatch.setattr(timezone, "now", lambda: later)
        found = tried(cluster, address)
    assert found.reach == Reach.CERTIFICATE
    assert "expired" in found.reach_words


def test_something_that_speaks_no_tls(cluster):
    with listening(None) as address:
        found = tried(cluster, address)
    assert found.reach == Reach.TLS
    assert "220" not in found.reach_words


def test_something_that_says_nothing_is_not_waited_for_long(cluster, monkeypatch):
    monkeypatch.setattr(reach, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun = time.monotonic()
        assert tried(cluster, Address("127.0.0.1", server.getsockname()[1])).reach == Reach.TLS
        assert time.monotonic() - begun < 3


def test_nothing_there(cluster):
    assert tried(cluster, Address("127.0.0.1", 1)).reach == Reach.TCP


def test_a_name_that_is_not_found_or_not_in_time(cluster, monkeypatch):
    monkeypatch.setattr(reach, "PATIENCE", 0.3)

    def fails(*args: object, **kwargs: object) -> None:
        raise socket.gaierror("not known")

    def takes_long(*args: object, **kwargs: object) -> list[object]:
        time.sleep(1)
        return []

    for look_up in (fails, takes_long):
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        found = tried(cluster, Address("nowhere.example.com", 443))
        assert found.reach == Reach.DNS
        assert "nowhere.example.com" in found.reach_words


def test_it_is_tried_on_demand_by_those_who_may(alice_client, bob_client, cluster):
    Cluster.objects.update(address="127.0.0.1:1")
    url = f"/networking/proxy-clusters/{cluster.pk}/reach/"
    assert bob_client.post(url).status_code == 403
    assert alice_client.get(url).status_code == 405
    assert alice_client.post(url).status_code == 302
    assert Cluster.objects.get(pk=cluster.pk).reach == Reach.TCP
