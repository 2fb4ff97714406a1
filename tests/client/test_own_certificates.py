"""Certificates of other authorities than the control plane's: what companies have mostly has an RSA key."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import Plane
from tests.client.ports import dialled, said_back
from tests.worker import balancers
from tests.worker.companies import Files, rsa_files
from tests.worker.processes import Worker

pytestmark = pytest.mark.process

HAPROXY = """
frontend clients
    mode http
    bind 127.0.0.1:{{port}} ssl crt {{pem}}
    default_backend workers
backend workers
    mode http
    server worker 127.0.0.1:{worker}
"""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return rsa_files(tmp_path)


@pytest.fixture
def started(plane: Plane, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start(**settings: str) -> Worker:
        worker = Worker(plane.environment() | {"SDM_WORKERS": "1"} | settings, tmp_path / "worker.log")
        workers.append(worker)
        worker.port()
        worker.until(lambda: "Connected" in worker.log)
        return worker

    yield start
    for worker in workers:
        worker.kill()


def is_through(plane: Plane, sdm: Sdm, offer: Offer, port: int, **environment: str) -> bool:
    plane.people.address = f"127.0.0.1:{port}"
    offer("orders")
    sdm.login(plane)
    sdm.listen(**environment)
    sdm.run("connect", "orders")
    with dialled(sdm, "orders") as sock:
        return said_back(sock, b"hello") == b"hello"


def test_a_worker_may_show_a_certificate_with_an_rsa_key(
    plane: Plane, sdm: Sdm, offer: Offer, started: Callable[..., Worker], files: Files
):
    worker = started(
        SDM_TLS_CERT_SOURCE="file",
        SDM_TLS_CERT_FILE=str(files.certificate),
        SDM_TLS_KEY_FILE=str(files.key),
    )
    through = is_through(plane, sdm, offer, worker.port(), SSL_CERT_FILE=str(files.authority))
    assert through, sdm.log()


def test_a_balancer_that_ends_tls_may_show_a_certificate_with_an_rsa_key(
    plane: Plane, sdm: Sdm, offer: Offer, started: Callable[..., Worker], files: Files, tmp_path: Path
):
    worker = started(SDM_TLS_CERT_SOURCE="none", SDM_TLS_CLIENT_AUTH="none")
    pair = files.certificate, files.key
    with balancers.haproxy(tmp_path, HAPROXY.format(worker=worker.port()), pair) as port:
        assert is_through(plane, sdm, offer, port, SSL_CERT_FILE=str(files.authority)), sdm.log()


def test_whom_nobody_knows_is_no_worker_whatever_the_key(
    plane: Plane, sdm: Sdm, offer: Offer, started: Callable[..., Worker], files: Files
):
    worker = started(
        SDM_TLS_CERT_SOURCE="file",
        SDM_TLS_CERT_FILE=str(files.certificate),
        SDM_TLS_KEY_FILE=str(files.key),
    )
    assert not is_through(plane, sdm, offer, worker.port())
    assert "is not a worker of this cluster: unable to get local issuer certificate" in sdm.log()
