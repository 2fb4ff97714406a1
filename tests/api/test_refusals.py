"""What workers tell of those whom they refused by themselves: denied activities, once each, and not without bound."""

import datetime as dt
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from audit.models import Activity
from audit.verbs import Verb
from connections import refusals
from sdm.contract.v1 import records_pb2
from tests.api.conftest import Ground
from tests.api.test_delivering import deliver
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource

WORDS = "The ticket is for another resource."


def refused(number: int, ago: float = 0, **fields: Any) -> records_pb2.Record:
    values: dict[str, Any] = {
        "reason": "bad-ticket",
        "message": WORDS,
        "worker_id": "w-0000000000000001",
    } | fields
    at = Timestamp()
    at.FromDatetime(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=ago))
    told = records_pb2.SessionRefused(**values)
    return records_pb2.Record(session_id=f"s-{number:016x}", at=at, session_refused=told)


def delivered(ground: Ground, *portions: list[records_pb2.Record]) -> list[Activity]:
    """The denied activities after a worker has told these."""

    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        for portion in portions:
            await deliver(worker, *portion)

    ground.run(scene)
    found = Activity.objects.filter(verb=Verb.ACCESS_REFUSED.value).order_by("created_at", "id")
    assert all(activity.outcome == Activity.Outcome.DENIED for activity in found)
    return list(found)


def test_who_was_refused_what_from_where_when_and_why(ground: Ground):
    resource = make_resource(ground.alice, "orders-db", cluster=ground.cluster)
    known = {"account_id": ground.alice.pk, "resource_id": resource.pk, "client_address": "192.0.2.7"}
    (activity,) = delivered(ground, [refused(1, 3_600, left_out=46, **known)])
    assert str(activity) == "alice@example.com was refused resource orders-db"
    assert activity.source_address == "192.0.2.7"
    assert dt.timedelta(minutes=59) < dt.datetime.now(dt.UTC) - activity.created_at < dt.timedelta(minutes=61)
    assert activity.after == {
        "reason": "bad-ticket",
        "words": WORDS,
        "worker": "w-0000000000000001",
        "session": "s-0000000000000001",
        "not recorded before it": 46,
    }


def test_a_stranger_is_somebody_and_what_is_another_clusters_has_no_name(ground: Ground):
    other = make_resource(ground.alice, "their-secret", cluster=make_cluster("other"))
    told = refused(1, account_id="a-gone", resource_id=other.pk, client_address="2001:db8::7")
    (activity,) = delivered(ground, [told])
    assert str(activity) == f"Somebody was refused resource {other.pk}"


def test_told_twice_it_is_stored_once(ground: Ground):
    told = [refused(number) for number in range(1, 4)]
    assert len(delivered(ground, told[:2], told, told[1:] + told)) == 3


def test_a_clock_that_is_ahead_does_not_put_it_on_top_for_ever(ground: Ground):
    (activity,) = delivered(ground, [refused(1, -86_400)])
    assert activity.created_at <= dt.datetime.now(dt.UTC)


def test_no_worker_fills_the_log(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refusals, "AN_HOUR_AT_MOST", 5)
    portions = [[refused(10 * turn + number) for number in range(1, 4)] for turn in range(4)]
    # Of another hour is another share, if the clock strikes meanwhile.
    assert len(delivered(ground, *portions)) in range(5, 11)


def test_what_makes_no_sense_harms_nothing(ground: Ground):
    hostile = refused(
        1, reason="\x00" * 3, message="<script>\u202e\n" * 200, resource_id="rs-\x00", left_out=2**64 - 1
    )
    hostile.session_refused.client_address = "nowhere"
    nameless, timeless = refused(2), refused(3)
    nameless.session_id = "x" * 1_000
    timeless.at.CopyFrom(Timestamp(seconds=2**62))
    (activity,) = delivered(ground, [hostile, nameless, timeless])
    assert activity.source_address is None
    assert (activity.after or {})["not recorded before it"] == 2**53
