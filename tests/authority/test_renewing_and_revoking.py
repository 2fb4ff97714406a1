import threading
import time

import pytest
from cryptography.x509.oid import ExtensionOID
from django.db import connection, transaction

from audit.models import Activity
from audit.services import PermissionRequired
from authority import selectors, services
from authority.models import Certificate, Purpose
from sdm.pki import chain
from tests.authority.conftest import ACCOUNT, HOST, OTHER_WORKER, WORKER, client, later, request, worker
from tests.pki.forge import make_authority, make_leaf

WORKERS, CLIENTS = Purpose.WORKER, Purpose.CLIENT


def renewed(certificate, purpose=WORKERS, **changes):
    values = {"csr_pem": request(), "host": HOST if purpose == WORKERS else None, **changes}
    return services.renew(purpose=purpose, certificate_pem=certificate, **values)


def why_not(certificate, purpose=WORKERS):
    with pytest.raises(chain.Untrusted) as caught:
        renewed(certificate, purpose)
    return type(caught.value)


def revoke(subject_id=WORKER, actor=None):
    return services.revoke(actor=actor, subject_id=subject_id, reason="Its key was deleted.")


def test_renewing_gives_the_same_name_another_day(issued):
    with later(hours=12):
        new = renewed(issued.certificate)
    old_row, new_row = Certificate.objects.order_by("pk")
    assert new_row.spiffe_id == old_row.spiffe_id
    assert new.not_after > issued.not_after
    assert new.serial != issued.serial


def test_a_client_renews_too(db):
    new = renewed(client().certificate, CLIENTS)
    assert Certificate.objects.get(serial=new.serial).subject_id == ACCOUNT


def test_the_host_follows_the_cluster_s_address(issued):
    leaf = chain.read(renewed(issued.certificate, host="new.example.com").certificate)
    assert "new.example.com" in str(
        leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    )


def test_expired_is_not_renewed(issued):
    with later(hours=24, seconds=2):
        assert why_not(issued.certificate) is chain.Expired


def test_revoked_is_not_renewed(issued):
    revoke()
    assert why_not(issued.certificate) is chain.Revoked


def test_a_revoked_worker_s_other_certificates_are_revoked_too(issued):
    new = renewed(issued.certificate)
    assert sorted(revoke()) == sorted([issued.serial, new.serial])
    assert why_not(new.certificate) is why_not(issued.certificate) is chain.Revoked


def test_at_the_wrong_door_it_is_not_renewed(issued):
    mine = client()
    assert why_not(issued.certificate, CLIENTS) is chain.UnknownAuthority
    assert why_not(mine.certificate, WORKERS) is chain.UnknownAuthority


def test_an_authority_s_own_certificate_is_not_renewed(issued):
    assert why_not(selectors.trusted(WORKERS)[0]) is chain.IsAuthority


def test_a_stranger_s_certificate_is_not_renewed(issued):
    assert why_not(make_leaf(make_authority()).pem) is chain.UnknownAuthority


def test_what_was_signed_elsewhere_with_our_key_is_not_renewed(issued):
    """As by a console that was restored from an older backup, or somebody who has the key."""
    Certificate.objects.all().delete()
    assert why_not(issued.certificate) is selectors.Unknown


@pytest.mark.parametrize("pem", ["", "x", b"\xff" * 9_000, "\ud800"])
def test_garbage_is_not_renewed(issued, pem):
    assert why_not(pem) is chain.Unreadable


def test_one_that_cannot_be_renewed_leaves_nothing_behind(issued):
    with pytest.raises(ValueError, match="certificate request"):
        renewed(issued.certificate, csr_pem="x")
    with pytest.raises(ValueError, match="needs a host"):
        renewed(issued.certificate, host=None)
    assert Certificate.objects.count() == 1


def test_identify_says_who_a_peer_is(issued):
    assert selectors.identify(WORKERS, issued.certificate).subject_id == WORKER
    revoke()
    with pytest.raises(chain.Revoked):
        selectors.identify(WORKERS, issued.certificate)


def test_revoking_names_the_serial_numbers_until_they_would_have_expired(issued):
    other = worker(OTHER_WORKER)
    assert selectors.revoked_serials(WORKERS) == []
    assert revoke() == [issued.serial]
    assert selectors.revoked_serials(WORKERS) == [issued.serial]
    assert selectors.revoked_serials(CLIENTS) == []
    assert selectors.identify(WORKERS, other.certificate).serial == other.serial
    with later(hours=25):
        assert selectors.revoked_serials(WORKERS) == []


def test_revoking_is_recorded_once_with_its_reason(alice, issued):
    assert revoke(actor=alice) == [issued.serial]
    assert revoke(actor=alice) == []
    activity = Activity.objects.get(verb="certificates revoked")
    assert (activity.actor, activity.entity_name) == (alice, WORKER)
    assert activity.after == {"serial numbers": [issued.serial], "reason": "Its key was deleted."}


def test_a_long_reason_is_cut(issued):
    services.revoke(actor=None, subject_id=WORKER, reason="x" * 5_000)
    assert len(Certificate.objects.get().revoked_reason) == 200


def test_who_may_not_change_authorities_revokes_nothing(bob, charlie, issued):
    for actor in (bob, charlie):
        with pytest.raises(PermissionRequired):
            revoke(actor=actor)
    assert not Certificate.objects.revoked().exists()


@pytest.mark.django_db(transaction=True)
def test_renewing_and_revoking_at_once_leaves_nothing_that_is_accepted():
    """A certificate that is issued while its worker is revoked would live on for a day."""
    for _ in range(5):
        issued = worker()
        outcomes: list[object] = []
        start = threading.Barrier(2)

        def renewing(certificate=issued.certificate, start=start, outcomes=outcomes):
            start.wait()
            try:
                outcomes.append(renewed(certificate))
            except chain.Revoked:
                outcomes.append(None)
            finally:
                connection.close()

        def revoking(start=start, outcomes=outcomes):
            start.wait()
            try:
                outcomes.append(revoke())
            finally:
                connection.close()

        threads = [threading.Thread(target=act) for act in (renewing, revoking)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(outcomes) == 2
        assert not Certificate.objects.live().exists()


@pytest.mark.django_db(transaction=True)
def test_revoking_waits_for_a_renewal_that_was_first():
    issued = worker()
    locked = threading.Event()

    def renewing():
        try:
            with transaction.atomic():
                renewed(issued.certificate)
                locked.set()
                time.sleep(0.3)
        finally:
            connection.close()

    thread = threading.Thread(target=renewing)
    thread.start()
    assert locked.wait(10)
    assert len(revoke()) == 2
    thread.join(10)
    assert not Certificate.objects.live().exists()
