from collections.abc import Callable

import pytest

from authority import services
from authority.services import Issued
from sdm.pki import csr

CLUSTER, OTHER_CLUSTER = "n-5d41402abc4b2a76", "n-aaaaaaaaaaaaaaaa"
WORKER, OTHER_WORKER = "w-5d41402abc4b2a76", "w-aaaaaaaaaaaaaaaa"
ACCOUNT = "a-5d41402abc4b2a76"
HOST = "edge.example.com"


def worker(worker_id: str = WORKER, cluster_id: str = CLUSTER, **changes: str) -> Issued:
    values = {"csr_pem": csr.new_csr(csr.new_key()), "host": HOST, **changes}
    return services.issue_worker(cluster_id=cluster_id, worker_id=worker_id, **values)


def client(account_id: str = ACCOUNT) -> Issued:
    return services.issue_client(account_id=account_id, csr_pem=csr.new_csr(csr.new_key()))


@pytest.fixture
def issued(db: None) -> Issued:
    return worker()


IssueWorker = Callable[..., Issued]
