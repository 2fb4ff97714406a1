import datetime as dt
import re

import pytest
from cryptography import x509
from django.utils import timezone

from accounts.reauthentication import reauthenticate_url
from audit.models import Activity
from authority import selectors, services
from authority.models import Certificate, CertificateAuthority, Purpose
from tests.authority.conftest import OTHER_WORKER, WORKER, later, worker
from tests.authority.conftest import client as issue_client
from tests.clusters.factories import make_cluster
from tests.conftest import sign_in

PAGE = "/settings/certificates/"
HTMX = {"HX-Request": "true"}
WORKERS = Purpose.WORKER


def step_url(step, purpose="worker"):
    return f"{PAGE}{purpose}/rotation/{step}/"


def phases():
    return sorted(CertificateAuthority.objects.values_list("phase", flat=True))


def text(browser, url=PAGE):
    return browser.get(url, follow=True).content.decode()


def test_before_the_first_certificate_the_page_says_what_will_be(alice_client):
    page = text(alice_client)
    assert "made when the first worker joins" in page and "first client" in page
    assert "Begin rotation" not in page
    assert not CertificateAuthority.objects.exists(), "looking makes nothing"


def test_the_page_shows_both_authorities_and_what_they_signed(alice_client, issued):
    worker(OTHER_WORKER), issue_client()
    page = text(alice_client)
    for authority in CertificateAuthority.objects.all():
        assert authority.subject in page and authority.fingerprint in page
    assert re.findall(r'data-label="Live">(\d+)<', page) == ["2", "1"]


def test_the_trusted_certificates_are_downloaded_by_auditors_too(alice, bob_client, issued):
    services.rotation_begin(actor=alice, purpose=WORKERS)
    response = bob_client.get(f"{PAGE}worker.pem")
    assert response.headers["Content-Type"] == "application/x-pem-file"
    assert response.headers["Content-Disposition"] == 'attachment; filename="worker-ca.pem"'
    assert len(x509.load_pem_x509_certificates(response.content)) == 2
    assert b"PRIVATE" not in response.content
    assert bob_client.get(f"{PAGE}client.pem").status_code == 404
    assert bob_client.get(f"{PAGE}other.pem").status_code == 404


def test_a_user_sees_nothing_and_a_stranger_signs_in(client, charlie_client, issued):
    for url in (PAGE, f"{PAGE}worker.pem", step_url("begin")):
        assert charlie_client.get(url).status_code == 403
        assert client.get(url).status_code == 302


def test_an_auditor_rotates_nothing(bob_client, issued):
    assert "Rotation" not in text(bob_client)
    for method in (bob_client.get, bob_client.post):
        assert method(step_url("begin")).status_code == 403
    assert phases() == ["active"]
    assert Activity.objects.filter(verb="permission denied").count() == 2


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_step_needs_a_person_who_is_here(alice, issued, headers):
    browser = sign_in(alice, confirmed=False)
    for method in (browser.get, browser.post):
        response = method(step_url("begin"), headers=headers)
        where = response.headers.get("HX-Redirect") or response.headers["Location"]
        assert where == reauthenticate_url(step_url("begin"))
    assert phases() == ["active"]


def test_a_whole_rotation_by_the_page(alice, alice_client, issued):
    assert "Nothing that runs is disturbed" in text(alice_client, step_url("begin"))
    assert phases() == ["active"], "looking changes nothing"
    page = alice_client.post(step_url("begin"), follow=True).content.decode()
    assert "The next authority is made and trusted" in page and "Step 2 of 3" in page
    assert phases() == ["active", "next"]

    refused = alice_client.post(step_url("switch"))
    assert refused.status_code == 422
    assert "Tick this to do it anyway, or wait" in refused.content.decode()
    with later(hours=25):
        browser = sign_in(alice)
        assert "Everybody knows it by now" in text(browser)
        assert "forced" not in text(browser, step_url("switch"))
        worker(OTHER_WORKER)
        browser.post(step_url("switch"))
        assert phases() == ["active", "retiring"]

        page = text(browser, step_url("finish"))
        assert "1 certificate is still signed by the old authority" in page
        assert browser.post(step_url("finish")).status_code == 422
        page = browser.post(step_url("finish"), {"forced": "on"}, follow=True).content.decode()
        assert phases() == ["active", "retired"]
        assert "Its authority was retired." in page


def test_a_step_that_was_taken_already_is_not_taken_again(alice_client, issued):
    alice_client.post(step_url("begin"))
    for method in (alice_client.get, alice_client.post):
        page = method(step_url("begin"), follow=True).content.decode()
        assert "somebody has taken it already" in page
    assert phases() == ["active", "next"]
    assert alice_client.post(step_url("begin", "client")).status_code == 302
    assert alice_client.post(step_url("other")).status_code == 404
    assert alice_client.post(step_url("begin", "other")).status_code == 404


def test_of_two_who_take_a_step_at_once_one_is_told(alice_client, issued, monkeypatch):
    def too_late(**kwargs):
        raise services.Refused("A rotation is under way already. Finish it first.")

    monkeypatch.setattr(services, "rotation_begin", too_late)
    assert "under way already" in alice_client.post(step_url("begin"), follow=True).content.decode()


def test_the_dialog_is_a_fragment(alice_client, issued):
    dialog = alice_client.get(step_url("begin"), headers=HTMX).content.decode()
    assert "<html" not in dialog and 'id="dialog-title"' in dialog
    response = alice_client.post(step_url("begin"), headers=HTMX)
    assert response.headers["HX-Redirect"] == PAGE


def test_the_revoked_are_listed_until_they_would_have_expired(alice, alice_client, issued):
    services.revoke(actor=None, subject_id=WORKER, reason='Its key "><script>alert(1)</script>')
    page = text(alice_client)
    assert WORKER in page and issued.serial in page
    assert "<script>alert" not in page
    with later(hours=25):
        assert issued.serial not in text(sign_in(alice))


def test_many_revoked_are_paged(alice_client, issued):
    row = Certificate.objects.get()
    now = timezone.now()
    Certificate.objects.bulk_create(
        Certificate(
            serial=f"{number:040x}",
            authority=row.authority,
            spiffe_id=row.spiffe_id,
            subject_id=row.subject_id,
            not_before=row.not_before,
            not_after=row.not_after,
            revoked_at=now,
        )
        for number in range(120)
    )
    seen, url = set(), PAGE
    for _ in range(3):
        page = text(alice_client, url)
        seen |= set(re.findall(r'<code title="([0-9a-f]{40})"', page))
        following = re.search(r'rel="next" href="([^"]+)"', page)
        url = PAGE + following[1] if following else ""
    assert len(seen) == 120 and not url


def test_an_authority_that_ends_soon_stands_out(alice_client, issued):
    CertificateAuthority.objects.update(not_after=timezone.now() + dt.timedelta(days=30))
    assert re.search(r'status--bad"><time[^>]*>in \d+ days', text(alice_client))


def test_the_page_takes_few_queries(alice_client, issued, django_assert_max_num_queries):
    issue_client()
    with django_assert_max_num_queries(16):
        alice_client.get(PAGE)


def test_a_cluster_s_settings_lead_to_its_certificate(bob_client):
    cluster = make_cluster("keen-coffee")
    url = f"/networking/proxy-clusters/{cluster.pk}/settings/"
    assert "made when the first worker joins" in text(bob_client, url)
    worker()
    assert f'href="{PAGE}worker.pem"' in text(bob_client, url)
    assert selectors.has_authority(WORKERS)
