"""Rotating an authority as an administrator does it: in a dialog, and without scripts."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from authority.models import CertificateAuthority
from sdm.pki.profiles import WORKER
from tests.authority.conftest import worker
from tests.browser.conftest import Look

PAGE = "/settings/certificates/"


@pytest.mark.parametrize("look", [Look(), Look(390, "dark"), Look(scripts=False)], ids=str)
def test_a_rotation_from_the_first_step_to_the_last(signed_in_page, alice, look):
    worker()
    page = signed_in_page(alice)
    page.goto(PAGE)
    page.get_by_role("link", name="Begin rotation").click()
    page.get_by_role("button", name="Begin rotation").click()
    expect(page.get_by_text("The next authority is made and trusted")).to_be_visible()

    page.get_by_role("link", name="Switch to the next authority").click()
    page.get_by_role("button", name="Switch").click()
    expect(page.get_by_text("Tick this to do it anyway, or wait.")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    # A day later.
    CertificateAuthority.objects.update(phase_since=timezone.now() - WORKER.lifetime)
    page.goto(PAGE)
    page.get_by_role("link", name="Switch to the next authority").click()
    page.get_by_role("button", name="Switch").click()
    expect(page.get_by_text("The new authority signs from now on")).to_be_visible()

    page.get_by_role("link", name="Retire the old authority").click()
    page.get_by_label("Do it anyway").check()
    page.get_by_role("button", name="Retire").click()
    expect(page.get_by_text("The old authority is retired")).to_be_visible()
    assert set(CertificateAuthority.objects.values_list("phase", flat=True)) == {"active", "retired"}


def test_the_trusted_certificates_are_saved_as_a_file(signed_in_page, alice):
    worker()
    page = signed_in_page(alice)
    page.goto(PAGE)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download trusted certificates").click()
    assert download.value.suggested_filename == "worker-ca.pem"
    assert re.match("-----BEGIN CERTIFICATE-----", download.value.path().read_text())
