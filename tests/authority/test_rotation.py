import subprocess
import threading

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit.models import Activity
from audit.services import PermissionRequired
from authority import selectors, services
from authority.models import AuthorityKey, Certificate, CertificateAuthority, Purpose
from sdm.pki import chain
from sdm.pki.names import Kind
from tests.authority.conftest import HOST, OTHER_WORKER, client, later, request, worker

WORKERS = Purpose.WORKER


def accepted(issued):
    trusted = chain.trust(Kind.WORKER, selectors.trusted(WORKERS))
    revoked = set(selectors.revoked_serials(WORKERS))
    try:
        trusted.verify(chain.read(issued.certificate), at=timezone.now(), revoked=revoked)
    except chain.Untrusted:
        return False
    return True


def signer(issued):
    return Certificate.objects.get(serial=issued.serial).authority


def phases(purpose=WORKERS):
    rows = CertificateAuthority.objects.filter(purpose=purpose).order_by("created_at")
    return [row.phase for row in rows]


def openssl_accepts(issued, tmp_path):
    (tmp_path / "ca.pem").write_text("".join(selectors.trusted(WORKERS)))
    (tmp_path / "leaf.pem").write_text(issued.certificate)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-verify_hostname", HOST]
    command += ["-attime", str(int(timezone.now().timestamp())), "leaf.pem"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def renew(issued):
    return services.renew(purpose=WORKERS, certificate_pem=issued.certificate, csr_pem=request(), host=HOST)


def test_a_rotation_cuts_nobody_off(alice, tmp_path):
    """From end to end: at every step each worker's certificate is accepted, here and by OpenSSL."""
    running = worker()
    first = signer(running)
    second = services.rotation_begin(actor=alice, purpose=WORKERS)
    assert phases() == ["active", "next"]
    # Trusted, and signs nothing yet.
    assert len(selectors.trusted(WORKERS)) == 2
    assert signer(worker(OTHER_WORKER)) == first
    assert accepted(running) and openssl_accepts(running, tmp_path)

    with later(hours=13):
        running = renew(running)
    with later(hours=25):
        services.rotation_switch(actor=alice, purpose=WORKERS)
        assert phases() == ["retiring", "active"]
        assert selectors.trusted(WORKERS)[0] == second.certificate
        new = renew(running)
        assert (signer(running), signer(new)) == (first, second)
        for each in (running, new):
            assert accepted(each) and openssl_accepts(each, tmp_path)

        with pytest.raises(services.Refused, match="1 certificate is still signed by the old"):
            services.rotation_finish(actor=alice, purpose=WORKERS)
        assert phases() == ["retiring", "active"]

    with later(hours=38):
        services.rotation_finish(actor=alice, purpose=WORKERS)
        assert phases() == ["retired", "active"]
        assert selectors.trusted(WORKERS) == [second.certificate]
        assert accepted(new) and openssl_accepts(new, tmp_path)

    assert list(Activity.objects.filter(actor=alice).order_by("pk").values_list("verb", flat=True)) == [
        "certificate authority rotation begun",
        "certificate authority rotation switched",
        "certificate authority rotation finished",
    ]


def test_what_was_signed_by_a_retired_authority_is_not_accepted(alice, tmp_path):
    stray, (old,) = worker(), CertificateAuthority.objects.all()
    services.rotation_begin(actor=alice, purpose=WORKERS)
    services.rotation_switch(actor=alice, purpose=WORKERS, forced=True)
    services.rotation_finish(actor=alice, purpose=WORKERS, forced=True)
    assert not accepted(stray) and not openssl_accepts(stray, tmp_path)
    assert Certificate.objects.get(serial=stray.serial).revoked_reason == "Its authority was retired."
    finished = Activity.objects.get(verb="certificate authority rotation finished")
    assert (finished.entity_id, finished.after) == (old.pk, {"certificates revoked": 1})
    with pytest.raises(chain.UnknownAuthority):
        renew(stray)


def test_the_key_is_destroyed_when_it_signs_no_more(alice, issued):
    services.rotation_begin(actor=alice, purpose=WORKERS)
    assert AuthorityKey.objects.count() == 2
    new = services.rotation_switch(actor=alice, purpose=WORKERS, forced=True)
    assert AuthorityKey.objects.get().authority == new


def test_switching_waits_until_everybody_knows_the_next_one(alice, issued):
    services.rotation_begin(actor=alice, purpose=WORKERS)
    with later(hours=23), pytest.raises(services.Refused, match="may not know the new authority"):
        services.rotation_switch(actor=alice, purpose=WORKERS)
    assert phases() == ["active", "next"]
    with later(hours=25):
        services.rotation_switch(actor=alice, purpose=WORKERS)


def test_steps_out_of_order_are_refused_and_change_nothing(alice, db):
    with pytest.raises(services.Refused, match="no authority to rotate"):
        services.rotation_begin(actor=alice, purpose=WORKERS)
    worker()
    for step in (services.rotation_switch, services.rotation_finish):
        with pytest.raises(services.Refused):
            step(actor=alice, purpose=WORKERS, forced=True)
    services.rotation_begin(actor=alice, purpose=WORKERS)
    with pytest.raises(services.Refused, match="under way"):
        services.rotation_begin(actor=alice, purpose=WORKERS)
    with pytest.raises(services.Refused):
        services.rotation_finish(actor=alice, purpose=WORKERS, forced=True)
    assert phases() == ["active", "next"]
    services.rotation_switch(actor=alice, purpose=WORKERS, forced=True)
    with pytest.raises(services.Refused, match="under way"):
        services.rotation_begin(actor=alice, purpose=WORKERS)


def test_the_other_purpose_is_left_alone(alice, issued):
    client()
    services.rotation_begin(actor=alice, purpose=Purpose.CLIENT)
    services.rotation_switch(actor=alice, purpose=Purpose.CLIENT, forced=True)
    assert phases(WORKERS) == ["active"]
    assert phases(Purpose.CLIENT) == ["retiring", "active"]


def test_two_authorities_of_an_installation_have_different_subjects(alice, issued):
    services.rotation_begin(actor=alice, purpose=WORKERS)
    client()
    assert len(set(CertificateAuthority.objects.values_list("subject"))) == 3


def test_only_administrators_rotate(bob, charlie, issued):
    for actor in (bob, charlie):
        for step in (services.rotation_begin, services.rotation_switch, services.rotation_finish):
            with pytest.raises(PermissionRequired):
                step(actor=actor, purpose=WORKERS)
    assert phases() == ["active"]


def test_the_database_holds_one_authority_in_each_phase(alice, issued):
    authority = CertificateAuthority.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        CertificateAuthority.objects.create(
            purpose=authority.purpose,
            phase="active",
            fingerprint="other",
            not_before=authority.not_before,
            not_after=authority.not_after,
        )


@pytest.mark.django_db(transaction=True)
def test_two_who_begin_at_once_begin_one_rotation(alice):
    worker()
    outcomes = []
    start = threading.Barrier(4)

    def begin():
        start.wait()
        try:
            services.rotation_begin(actor=alice, purpose=WORKERS)
            outcomes.append("begun")
        except services.Refused:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["begun", "refused", "refused", "refused"]
    assert phases() == ["active", "next"]


def test_whoever_keeps_a_list_of_whom_to_trust_is_told_when_it_changed(alice, db, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(services, "publish", told.append)
    issued = worker()
    assert told == ["authority:worker"], "made"
    worker(OTHER_WORKER), renew(issued)
    assert told == ["authority:worker"], "issuing changes nothing for others"
    services.revoke(actor=alice, subject_id=OTHER_WORKER, reason="Its key was deleted.")
    services.rotation_begin(actor=alice, purpose=WORKERS)
    services.rotation_switch(actor=alice, purpose=WORKERS, forced=True)
    services.rotation_finish(actor=alice, purpose=WORKERS, forced=True)
    assert told == ["authority:worker"] * 5
