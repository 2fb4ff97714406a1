"""Certificates as the control link will ask for them."""

import datetime as dt
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from authority import services
from authority.services import Issued
from sdm.pki import csr

CLUSTER, OTHER_CLUSTER = "n-5d41402abc4b2a76", "n-aaaaaaaaaaaaaaaa"
WORKER, OTHER_WORKER = "w-5d41402abc4b2a76", "w-aaaaaaaaaaaaaaaa"
ACCOUNT = "a-5d41402abc4b2a76"
HOST = "edge.example.com"


def request() -> str:
    return csr.new_csr(csr.new_key())


def worker(worker_id: str = WORKER, cluster_id: str = CLUSTER, **changes: Any) -> Issued:
    values = {"csr_pem": request(), "host": HOST, **changes}
    return services.issue_worker(cluster_id=cluster_id, worker_id=worker_id, **values)


def client(account_id: str = ACCOUNT, **changes: Any) -> Issued:
    return services.issue_client(account_id=account_id, **{"csr_pem": request(), **changes})


def later(**delta: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + dt.timedelta(**delta), tick=True)


@pytest.fixture
def issued(db: None) -> Issued:
    return worker()
