import base64
import logging
import re
import threading
import uuid

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from audit.models import Activity
from authority.models import Certificate
from authority.services import issue_worker
from clusters.models import Cluster, Worker
from keys import services
from keys.models import ClusterKey
from sdm.contract.keys import SecretKey
from sdm.pki import csr
from tests.clusters.factories import make_cluster, make_worker
from tests.conftest import sign_in
from tests.people import PASSWORD

HTMX = {"HX-Request": "true"}


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee", "111.111.111.111:443")


def keys_url(cluster):
    return f"/networking/proxy-clusters/{cluster.pk}/keys/"


def add(client, cluster, **fields):
    return client.post(keys_url(cluster) + "new/", {"request_id": str(uuid.uuid4()), **fields}, headers=HTMX)


def secret_in(response):
    found = re.search(r"sdmpck_[0-9A-Za-z]{49}", response.content.decode())
    assert found, "no secret key in this response"
    return found[0]


def test_a_new_key_is_shown_once_with_four_commands(alice_client, alice, cluster):
    response = add(alice_client, cluster)
    key, secret = ClusterKey.objects.get(), secret_in(response)
    assert bytes(key.public_key) == SecretKey.parse(secret).public_bytes()
    assert key.created_by == alice
    assert key.pk.startswith("gk-")
    assert [command.slug for command in response.context["commands"]] == [
        "shell",
        "docker",
        "systemd",
        "kubernetes",
    ]
    for command in response.context["commands"]:
        assert secret in command.text
        assert key.pk in command.text
        # What stands in an argument is seen by everybody on the machine.
        for line in command.text.splitlines():
            assert secret not in line or re.match(r"export [A-Z_]+=|  [A-Z_]+: ", line)
    assert "no-store" in response.headers["Cache-Control"]
    assert "Waiting for a worker" in response.content.decode()


def test_without_javascript_the_key_is_a_page(alice_client, cluster):
    page = alice_client.post(keys_url(cluster) + "new/", {"request_id": str(uuid.uuid4())}).content.decode()
    assert "<html" in page
    assert "sdmpck_" in page


@pytest.mark.django_db(transaction=True)
def test_the_secret_is_in_that_one_response_and_nowhere_else(
    alice_client, bob_client, cluster, caplog, tmp_path
):
    caplog.set_level(logging.DEBUG)
    secret = secret_in(add(alice_client, cluster))
    seed = SecretKey.parse(secret).seed
    key = ClusterKey.objects.get()
    spellings = [
        secret,
        secret.removeprefix("sdmpck_"),
        seed.hex(),
        base64.b64encode(seed).decode().rstrip("="),
    ]
    pages = [
        "/networking/proxy-clusters/",
        keys_url(cluster),
        f"{keys_url(cluster)}{key.pk}/arrivals/",
        f"{keys_url(cluster)}{key.pk}/deletion/",
        "/audit/activities/",
        "/",
    ]
    for client in (alice_client, bob_client):
        for page in pages:
            body = client.get(page, follow=True).content.decode()
            assert not any(spelling in body for spelling in spellings), page
    assert not any(spelling in caplog.text for spelling in spellings)
    for session in Session.objects.all():
        assert not any(spelling in str(session.get_decoded()) for spelling in spellings)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # the table's name comes from the database
            for row in cursor.fetchall():
                cells = b"\0".join(
                    bytes(c) if isinstance(c, bytes | memoryview) else str(c).encode() for c in row
                )
                assert seed not in cells, table
                assert not any(spelling.encode() in cells for spelling in spellings), table


def test_sending_the_form_twice_makes_one_key_and_shows_it_once(alice_client, cluster):
    request_id = str(uuid.uuid4())
    add(alice_client, cluster, request_id=request_id)
    again = add(alice_client, cluster, request_id=request_id)
    assert "sdmpck_" not in again.content.decode()
    assert again.headers["HX-Redirect"] == keys_url(cluster)
    assert "shown once already" in alice_client.get(keys_url(cluster)).content.decode()
    assert ClusterKey.objects.count() == 1


@pytest.mark.parametrize("request_id", ["", "x", "\0", "9" * 100_000])
def test_a_form_without_a_usable_id_still_makes_a_key(alice_client, cluster, request_id):
    assert "sdmpck_" in add(alice_client, cluster, request_id=request_id).content.decode()


def test_a_cluster_has_at_most_four_keys(alice_client, cluster):
    for _ in range(4):
        add(alice_client, cluster)
    fifth = add(alice_client, cluster)
    assert "sdmpck_" not in fifth.content.decode()
    assert ClusterKey.objects.count() == 4
    page = alice_client.get(keys_url(cluster)).content.decode()
    assert "A cluster has at most 4 keys" in page
    with override_settings(KEYS_PER_CLUSTER=5):
        assert "sdmpck_" in add(alice_client, cluster).content.decode()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_cannot_both_be_the_last_that_fits(alice, cluster):
    for _ in range(3):
        services.key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    outcomes = []

    def make():
        try:
            services.key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
            outcomes.append("made")
        except services.LimitReached:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]
    assert ClusterKey.objects.count() == 4


def test_a_key_needs_a_person_who_is_here(alice, cluster):
    client = sign_in(alice, confirmed=False)
    response = add(client, cluster)
    assert response.headers["HX-Redirect"].startswith(reverse("account_reauthenticate") + "?next=")
    assert not ClusterKey.objects.exists()
    plain = client.post(keys_url(cluster) + "new/")
    assert plain.headers["Location"].startswith(reverse("account_reauthenticate") + "?next=")
    proof = {"password": PASSWORD, "next": keys_url(cluster)}
    page = client.post(reverse("account_reauthenticate"), proof, follow=True).content.decode()
    assert "nothing was done yet. Choose “Add authentication key” again." in page


def test_who_may_make_and_delete_keys(client, bob_client, charlie_client, alice, cluster):
    key, _ = services.key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    for other in (bob_client, charlie_client):
        assert add(other, cluster).status_code == 403
        assert other.post(f"{keys_url(cluster)}{key.pk}/deletion/").status_code == 403
    assert add(client, cluster).status_code in (302, 200, 403)
    assert ClusterKey.objects.count() == 1
    assert bob_client.get(keys_url(cluster)).status_code == 200
    assert charlie_client.get(keys_url(cluster)).status_code == 403
    page = bob_client.get(keys_url(cluster)).content.decode()
    assert "Add authentication key" not in page
    assert "Delete" not in page


def test_deleting_a_key_says_which_workers_stop_and_needs_the_name(alice_client, alice, cluster):
    key, _ = services.key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    make_worker(cluster, access_key=key.pk)
    url = f"{keys_url(cluster)}{key.pk}/deletion/"
    assert "1 worker of keen-coffee" in alice_client.get(url).content.decode()
    assert alice_client.post(url).status_code == 422
    alice_client.post(url, {"name": "keen-coffee"})
    assert not ClusterKey.objects.exists()
    assert Activity.objects.get(verb="proxy cluster key deleted").entity_id == key.pk


@pytest.mark.parametrize("state", [Worker.State.NEW, Worker.State.AWAITING_RESTART, Worker.State.RESTARTING])
def test_workers_that_are_not_over_are_counted_whatever_they_do(alice_client, alice, cluster, state):
    key, _ = services.key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    url = f"{keys_url(cluster)}{key.pk}/deletion/"
    assert "No worker that runs uses it." in alice_client.get(url).content.decode()
    for _ in range(21):
        make_worker(cluster, state, access_key=key.pk)
    for gone in Worker.GONE:
        make_worker(cluster, gone, access_key=key.pk)
    page = alice_client.get(url).content.decode()
    assert "21 workers of keen-coffee that joined with it will stop" in page
    assert "live connections through them will end" in page
    assert alice_client.post(url).status_code == 422
    assert alice_client.post(url, {"name": "keen-coffee"}).status_code == 302
    assert {worker.state for worker in Worker.objects.filter(access_key=key.pk)} == {Worker.State.STOPPED}


def test_a_key_of_another_cluster_is_not_found(alice_client, alice, cluster):
    key, _ = services.key_create(actor=alice, cluster=make_cluster(), request_id=uuid.uuid4())
    for page in ("deletion", "arrivals"):
        assert alice_client.get(f"{keys_url(cluster)}{key.pk}/{page}/").status_code == 404
    assert alice_client.post(f"{keys_url(cluster)}{key.pk}/deletion/").status_code == 404
    assert ClusterKey.objects.exists()


def test_the_modal_shows_the_worker_that_arrives(alice_client, alice, cluster):
    key, _ = services.key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    url = f"{keys_url(cluster)}{key.pk}/arrivals/"
    waiting = alice_client.get(url, headers=HTMX)
    assert "Waiting for a worker" in waiting.content.decode()
    same = alice_client.get(url, headers={**HTMX, "If-None-Match": waiting.headers["ETag"]})
    assert same.status_code == 304
    make_worker(cluster, access_key=key.pk, host_name="edge-1", version="1.2.3")
    arrived = alice_client.get(
        url, headers={**HTMX, "If-None-Match": waiting.headers["ETag"]}
    ).content.decode()
    assert "edge-1" in arrived
    assert "1.2.3" in arrived


def test_a_key_is_not_made_by_looking(alice_client, cluster):
    assert alice_client.get(keys_url(cluster) + "new/").status_code == 405
    assert not ClusterKey.objects.exists()


def test_a_dump_of_the_database_holds_no_key(alice_client, cluster, capsys):
    secret = secret_in(add(alice_client, cluster))
    call_command("dumpdata")
    assert secret not in capsys.readouterr().out


def test_a_deleted_key_takes_the_certificates_of_its_workers_with_it(alice_client, alice, cluster):
    key, _ = services.key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    worker = make_worker(cluster, access_key=key.pk)
    issue_worker(
        cluster_id=cluster.pk, worker_id=worker.pk, csr_pem=csr.new_csr(csr.new_key()), host="111.111.111.111"
    )
    alice_client.post(f"{keys_url(cluster)}{key.pk}/deletion/", {"name": "keen-coffee"})
    certificate = Certificate.objects.get(subject_id=worker.pk)
    assert certificate.revoked_at
    assert key.pk in certificate.revoked_reason


def test_what_was_found_at_the_address_before_a_worker_came_is_not_told_of_it(alice_client, cluster):
    add(alice_client, cluster)
    key, tried = ClusterKey.objects.get(), timezone.now()
    Cluster.objects.update(reach="good", reach_words="A worker of this cluster answers.", reach_at=tried)
    worker = make_worker(cluster, access_key=key.pk)
    arrivals = f"/networking/proxy-clusters/{cluster.pk}/keys/{key.pk}/arrivals/"
    page = alice_client.get(arrivals).content.decode()
    assert worker.host_name in page
    assert "A worker of this cluster answers" not in page
    Cluster.objects.update(reach_at=timezone.now())
    assert "A worker of this cluster answers" in alice_client.get(arrivals).content.decode()
