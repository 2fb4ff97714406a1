"""A worker with the right keys joins, and each of the wrong ones is told what is wrong with it."""

import datetime as dt
from typing import Any

import pytest
from cryptography import x509

from audit.models import Activity
from audit.verbs import Verb
from authority.models import Purpose
from authority.selectors import trusted
from clusters.models import Cluster, Worker
from clusters.services import cluster_delete
from keys import joining
from keys.models import ClusterKey
from keys.services import key_delete
from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1
from sdm.pki import chain
from sdm.pki.names import Kind
from tests.api.conftest import Ground
from tests.api.worker import eventually, refusal
from tests.clusters.factories import make_cluster


def test_a_worker_joins_gets_its_certificate_and_comes_online(ground: Ground):
    async def scene(ground: Ground) -> tuple[Any, Any]:
        worker = ground.worker(host_name="host-7")
        answer = await worker.register()
        async with worker.watching() as stream:
            first = await stream.next()
            await eventually(lambda: Worker.objects.filter(state="started").first())
        return answer, first

    answer, first = ground.run(scene)
    worker = Worker.objects.get()
    assert (answer.worker_id, answer.cluster_id) == (worker.pk, ground.cluster.pk)
    assert (worker.host_name, worker.version, worker.source_address) == ("host-7", "1.2.3", "127.0.0.1")
    assert worker.last_heartbeat_at is not None
    assert Cluster.objects.get().workers_online == 1
    key = ClusterKey.objects.get()
    assert key.last_used_by == "host-7"
    assert key.last_used_at is not None
    assert first.configuration.generation == answer.configuration.generation == 1
    assert first.configuration.advertised_address == "127.0.0.1:1"
    assert first.configuration.heartbeat_seconds == 10
    leaf = x509.load_pem_x509_certificates(answer.certificate.chain)[0]
    authorities = chain.trust(Kind.WORKER, trusted(Purpose.WORKER))
    name = authorities.verify_worker(leaf, cluster_id=ground.cluster.pk, at=dt.datetime.now(dt.UTC))
    assert name.worker_id == worker.pk
    activity = Activity.objects.get(verb=Verb.WORKER_JOINED)
    assert (activity.source_address, (activity.after or {})["worker"]) == ("127.0.0.1", worker.pk)


def test_two_workers_of_one_host_are_two(ground: Ground):
    async def scene(ground: Ground) -> list[str]:
        return [(await ground.worker(host_name="same").register()).worker_id for _ in range(2)]

    assert set(ground.run(scene)) == set(Worker.objects.values_list("pk", flat=True))


def refused(ground: Ground, **fields: Any) -> tuple[Reason | None, str]:
    changes = fields.pop("changes", {})

    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        worker = ground.worker(**fields)
        return await refusal(worker.try_to_register(**changes))

    found: tuple[Reason | None, str] = ground.run(scene)
    assert not Worker.objects.exists()
    return found


def test_a_key_that_never_was(ground: Ground):
    reason, words = refused(ground, access_key="gk-0123456789abcdef")
    assert reason is Reason.UNKNOWN_KEY
    assert "gk-0123456789abcdef" in words


@pytest.mark.parametrize("access_key", ["", "gk-\0", "sdmpck_x", "🔑" * 900, "x" * 4_000])
def test_what_is_no_key_at_all(ground: Ground, access_key: str):
    assert refused(ground, access_key=access_key)[0] is Reason.UNKNOWN_KEY


def test_a_wrong_secret(ground: Ground):
    assert refused(ground, secret=SecretKey.generate())[0] is Reason.WRONG_SECRET
    activity = Activity.objects.get(verb=Verb.WORKER_REFUSED)
    assert (activity.outcome, activity.entity_name) == ("denied", ground.key.pk)


def test_another_clusters_secret(ground: Ground):
    _, secret = ground.other_key(make_cluster("other"))
    assert refused(ground, secret=secret)[0] is Reason.OTHER_CLUSTERS_KEY


def test_a_deleted_key_and_a_deleted_cluster(ground: Ground):
    key, secret = ground.other_key()
    key_delete(actor=ground.alice, key=key)
    reason, words = refused(ground, access_key=key.pk, secret=secret)
    assert reason is Reason.KEY_DELETED
    assert words.startswith(f"The access key {key.pk} was deleted in the console.")
    # Without its secret nobody learns what became of it.
    assert refused(ground, access_key=key.pk)[0] is Reason.WRONG_SECRET
    cluster_delete(actor=ground.alice, cluster=ground.cluster)
    reason, words = refused(ground)
    assert reason is Reason.CLUSTER_DELETED
    assert "was deleted" in words


@pytest.mark.parametrize(("minutes", "word"), [(-10, "behind"), (10, "ahead")])
def test_a_wrong_clock_is_named_before_anything_else(ground: Ground, minutes: int, word: str):
    reason, words = refused(ground, ahead=dt.timedelta(minutes=minutes), secret=SecretKey.generate())
    assert reason is Reason.CLOCK
    assert f"10 minutes {word}" in words


@pytest.mark.parametrize("nonce", [b"", b"x" * 56, b"x" * 60_000])
def test_a_challenge_that_was_not_given(ground: Ground, nonce: bytes):
    assert refused(ground, changes={"nonce": nonce})[0] is Reason.CHALLENGE_EXPIRED


def test_a_challenge_for_another_key(ground: Ground):
    other, _ = ground.other_key()
    assert refused(ground, changes={"access_key": other.pk})[0] is Reason.CHALLENGE_EXPIRED


def test_an_old_challenge(ground: Ground, monkeypatch):
    monkeypatch.setattr(joining, "CHALLENGE_LIVES", dt.timedelta(seconds=-1))
    assert refused(ground)[0] is Reason.CHALLENGE_EXPIRED


def test_a_signature_is_good_once(ground: Ground):
    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        worker = ground.worker()
        application = await worker.application()
        await worker.stub.Register(application)
        return await refusal(worker.stub.Register(application))

    assert ground.run(scene)[0] is Reason.CHALLENGE_EXPIRED
    assert Worker.objects.count() == 1


def test_a_signature_for_another_request_for_a_certificate(ground: Ground):
    assert refused(ground, changes={"certificate_request": b"another"})[0] is Reason.WRONG_SECRET


def test_a_request_for_a_certificate_that_cannot_be_read(ground: Ground, monkeypatch):
    monkeypatch.setattr("sdm.pki.csr.new_csr", lambda key: "-----BEGIN NONSENSE-----")
    assert refused(ground)[0] is Reason.BAD_REQUEST


def test_a_host_name_is_text_from_a_stranger(ground: Ground):
    async def scene(ground: Ground) -> Any:
        return await ground.worker(host_name="<b>\x1b[31m\0\n" + "x" * 1_000).register()

    ground.run(scene)
    name = Worker.objects.get().host_name
    assert name.startswith("<b>[31mx")
    assert len(name) <= 255


def test_who_guesses_is_slowed_down_and_others_are_not(ground: Ground):
    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        wrong = ground.worker(secret=SecretKey.generate())
        for _ in range(20):
            await refusal(wrong.stub.Register(await wrong.application()))
        return await refusal(wrong.stub.GetChallenge(v1.GetChallengeRequest(access_key=wrong.access_key)))

    assert ground.run(scene)[0] is Reason.TOO_MANY
    # Told of once, and not twenty times.
    assert Activity.objects.filter(verb=Verb.WORKER_REFUSED).count() == 1
