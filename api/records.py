"""The request log as workers deliver it: messages become records, with the names that things have now."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from accounts.models import Account
from api.messages import ip_address, moment, plain
from audit.models import MAX_NAME, MAX_WORDS
from audit.storing import Answered, Asked, Began, Ended, Record, store
from clusters.models import Worker
from connections.refusals import Refusal, refusals_store
from resources.models import Resource
from sdm.contract.records import decoded, digest_of, parameters_of
from sdm.contract.v1 import records_pb2 as v1


def deliver(worker: Worker, delivered: Sequence[bytes]) -> None:
    """Store what a worker says of its cluster's sessions. What was stored before is not stored again."""
    records = decoded(delivered)
    names = _Names(records)
    known = [record for said in records if (record := _record(said, names)) is not None]
    store(cluster_id=worker.cluster_id, cluster_name=worker.cluster.name, records=known)
    refusals_store(worker=worker, refusals=list(_refusals(records)))


def _refusals(records: Sequence[v1.Record]) -> Iterator[Refusal]:
    for said in records:
        if not said.HasField("session_refused"):
            continue
        refused = said.session_refused
        with suppress(ValueError):
            yield Refusal(
                said.session_id,
                moment(said.at),
                reason=plain(refused.reason, MAX_NAME),
                words=plain(refused.message, MAX_WORDS),
                account_id=plain(refused.account_id, MAX_NAME),
                resource_id=plain(refused.resource_id, MAX_NAME),
                worker_id=plain(refused.worker_id, MAX_NAME),
                client_address=ip_address(refused.client_address),
                left_out=refused.left_out,
            )


class _Names:
    """Of the accounts and resources of sessions that begin; what is unknown here is known by its id alone."""

    def __init__(self, records: Sequence[v1.Record]) -> None:
        begun = [record.session_started for record in records if record.HasField("session_started")]
        accounts = Account.objects.filter(pk__in={began.account_id for began in begun})
        resources = Resource.objects.filter(pk__in={began.resource_id for began in begun})
        self.accounts = dict(accounts.values_list("pk", "email")) if begun else {}
        self.resources = dict(resources.values_list("pk", "name")) if begun else {}


def _record(said: v1.Record, names: _Names) -> Record | None:
    """None for what is of a kind that is not known here, or of no moment."""
    try:
        at = moment(said.at)
    except ValueError:
        return None
    match said.WhichOneof("record"):
        case "session_started":
            began = said.session_started
            return Began(
                said.session_id,
                at,
                account_id=plain(began.account_id, MAX_NAME),
                account_name=names.accounts.get(began.account_id, plain(began.account_name, MAX_NAME)),
                resource_id=plain(began.resource_id, MAX_NAME),
                resource_name=names.resources.get(began.resource_id, plain(began.resource_name, MAX_NAME)),
                kind=plain(began.kind, MAX_NAME),
                worker_id=plain(began.worker_id, MAX_NAME),
                client_address=began.client_address,
            )
        case "request_started":
            asked = said.request_started
            return Asked(
                said.session_id,
                at,
                number=asked.number,
                text=asked.text,
                text_length=asked.text_length,
                sha256=digest_of(asked),
                parameters=parameters_of(asked),
            )
        case "request_completed":
            done = said.request_completed
            return Answered(
                said.session_id,
                at,
                number=done.number,
                microseconds=done.microseconds,
                rows=done.rows if done.HasField("rows") else None,
                bytes_sent=done.bytes_sent,
                bytes_received=done.bytes_received,
                result=plain(done.result, MAX_WORDS),
                error=plain(done.error, MAX_WORDS),
                sha256=done.sha256,
            )
        case "session_ended":
            ended = said.session_ended
            return Ended(
                said.session_id,
                at,
                reason=plain(ended.reason, MAX_WORDS),
                message=plain(ended.message, MAX_WORDS),
                requests=ended.requests,
                bytes_sent=ended.bytes_sent,
                bytes_received=ended.bytes_received,
            )
    return None
