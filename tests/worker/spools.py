"""A request log of a test's own, and what is in its spool."""

from sdm.contract.v1 import records_pb2 as pb
from sdm.worker.records import RequestLog
from sdm.worker.segments import MAGIC, divide
from sdm.worker.spool import Spool

LIMIT = 1 << 24


def make_log(run, **changes):
    return RequestLog(Spool(run.path, **{"limit": LIMIT, "processes": 1} | changes))


def records(run):
    found = []
    for path in run.segments():
        data = path.read_bytes()
        assert data.startswith(MAGIC)
        found += divide(data[len(MAGIC) :]).records
    return [pb.Record.FromString(record) for record in found]


def start(session):
    session.started(
        account_id="a-1", resource_id="rs-1", kind="postgres", worker_id="w-1", client_address="192.0.2.7"
    )
