import datetime as dt
import subprocess
import threading

import pytest
from cryptography import x509
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from audit.models import Activity
from authority import selectors, services
from authority.models import AuthorityKey, Certificate, CertificateAuthority, Purpose, TrustDomain
from sdm.pki import chain, names
from sdm.pki.csr import BadRequest
from sdm.pki.names import Kind, WorkerName
from tests.authority.conftest import ACCOUNT, CLUSTER, HOST, OTHER_CLUSTER, WORKER, client, later, worker


def authorities(purpose=Purpose.WORKER):
    return chain.trust(Kind(purpose), selectors.trusted(purpose))


def test_the_first_worker_makes_the_authority_and_gets_its_certificate(issued):
    name = WorkerName("127.0.0.1", CLUSTER, WORKER)
    leaf = chain.read(issued.certificate)
    assert authorities().verify_worker(leaf, cluster_id=CLUSTER, at=timezone.now()) == name
    row = Certificate.objects.get()
    assert (row.serial, row.subject_id, row.spiffe_id) == (issued.serial, WORKER, str(name))
    assert (row.not_after, row.fingerprint) == (issued.not_after, chain.fingerprint(leaf))
    assert abs(issued.not_after - timezone.now() - dt.timedelta(hours=24)) < dt.timedelta(minutes=1)
    authority = CertificateAuthority.objects.get()
    assert authority.phase == "active"
    assert authority.not_after - timezone.now() > dt.timedelta(days=5 * 365 - 1)


def test_the_chain_is_the_leaf_and_its_authority(issued):
    leaf, authority = x509.load_pem_x509_certificates(issued.chain.encode())
    assert leaf == chain.read(issued.certificate)
    assert [authority] == [chain.read(pem) for pem in selectors.trusted(Purpose.WORKER)]


def test_a_client_gets_a_certificate_of_another_authority(issued):
    mine = client()
    leaf = chain.read(mine.certificate)
    assert authorities(Purpose.CLIENT).verify(leaf, at=timezone.now()).subject_id == ACCOUNT
    assert mine.not_after - timezone.now() < dt.timedelta(hours=12)
    for purpose, other in ((Purpose.WORKER, leaf), (Purpose.CLIENT, chain.read(issued.certificate))):
        with pytest.raises(chain.UnknownAuthority):
            authorities(purpose).verify(other, at=timezone.now())


@pytest.mark.django_db
def test_before_the_first_nothing_is_trusted():
    assert selectors.trusted(Purpose.WORKER) == selectors.trusted(Purpose.CLIENT) == []
    assert not CertificateAuthority.objects.exists()


@pytest.mark.django_db
def test_making_an_authority_is_recorded_once():
    for _ in range(3):
        worker()
    activity = Activity.objects.get()
    assert activity.verb == "certificate authority created"
    assert activity.after is not None and activity.after["trust domain"] == "127.0.0.1"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("issue", [worker, client])
def test_the_first_use_by_many_at_once_makes_one_authority(issue):
    outcomes: list[object] = []
    start = threading.Barrier(6)

    def first():
        start.wait()
        try:
            outcomes.append(issue().chain.partition("-----END CERTIFICATE-----\n")[2])
        except Exception as error:  # noqa: BLE001  # shown below
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=first) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert CertificateAuthority.objects.count() == AuthorityKey.objects.count() == 1
    assert outcomes == [CertificateAuthority.objects.get().certificate] * 6
    assert Certificate.objects.count() == 6
    assert TrustDomain.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("Console.Example.COM", "console.example.com"),
        ("console.example.com.", "console.example.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "proxy-clusters"),
        ("", "proxy-clusters"),
    ],
)
def test_the_trust_domain_is_the_console_s_host_and_stays(host, domain):
    with override_settings(CONSOLE_HOST=host):
        worker()
    with override_settings(CONSOLE_HOST="elsewhere.example.com"):
        client()
        worker()
    assert {names.parse(row.spiffe_id).trust_domain for row in Certificate.objects.all()} == {domain}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"csr_pem": ""},
        {"csr_pem": b"\xff" * 5_000},
        {"host": ""},
        {"host": "*.example.com"},
        {"host": "a\0b"},
        {"worker_id": "w-1"},
        {"worker_id": ACCOUNT},
        {"cluster_id": f"{CLUSTER}/worker/{WORKER}"},
        {"cluster_id": "\ud800"},
    ],
)
def test_what_cannot_be_certified_leaves_nothing_behind(changes):
    with pytest.raises(ValueError):
        worker(**changes)
    assert not Certificate.objects.exists()


@pytest.mark.django_db
def test_a_certificate_is_no_request():
    for pem in (worker().certificate, selectors.trusted(Purpose.WORKER)[0]):
        with pytest.raises(BadRequest):
            worker(csr_pem=pem)


@pytest.mark.django_db
def test_an_authority_at_its_end_signs_shorter_and_then_no_more():
    worker()
    CertificateAuthority.objects.get()
    with later(days=5 * 365, hours=-1):
        assert worker().not_after == CertificateAuthority.objects.get().not_after
    with later(days=5 * 365 + 1), pytest.raises(services.AuthorityExpired, match="rotated"):
        worker()


@pytest.mark.django_db
def test_what_has_expired_is_forgotten_by_what_is_issued(django_assert_max_num_queries):
    for _ in range(15):
        worker()
    with later(hours=26):
        with django_assert_max_num_queries(8):
            worker()
        assert Certificate.objects.count() == 6
        worker()
        assert Certificate.objects.count() == 2


@pytest.mark.django_db
def test_issuing_takes_few_queries(issued, django_assert_num_queries):
    # A savepoint and its end, who signs, what is remembered, what has expired.
    with django_assert_num_queries(5):
        worker()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("issue", "purpose"), [(worker, "sslserver"), (worker, "sslclient"), (client, "sslclient")]
)
def test_openssl_trusts_what_is_issued(tmp_path, issue, purpose):
    (tmp_path / "leaf.pem").write_text(issue().certificate)
    kind = Purpose.WORKER if issue is worker else Purpose.CLIENT
    (tmp_path / "ca.pem").write_text("".join(selectors.trusted(kind)))
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose]
    if purpose == "sslserver":
        command += ["-verify_hostname", HOST]
    done = subprocess.run([*command, "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "leaf.pem: OK\n", done.stderr


@pytest.mark.django_db
def test_another_cluster_s_worker_is_not_this_one_s(issued):
    other = worker(cluster_id=OTHER_CLUSTER)
    with pytest.raises(chain.WrongIdentity):
        authorities().verify_worker(chain.read(other.certificate), cluster_id=CLUSTER, at=timezone.now())
