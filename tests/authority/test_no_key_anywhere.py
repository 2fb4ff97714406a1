"""The private keys of authorities are in their envelopes, and nowhere else."""

import base64
import io
import logging

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import call_command

import sealing
from authority import selectors, services, signing
from authority.models import AuthorityKey, CertificateAuthority, Purpose
from sealing import keyring, rotation
from tests.authority.conftest import client, worker
from tests.resources.test_no_secret_anywhere import whole_database

PAGES = (
    "/settings/certificates/",
    "/settings/certificates/worker.pem",
    "/settings/certificates/client.pem",
    "/settings/certificates/worker/rotation/switch/",
    "/audit/activities/",
)


def spellings(key):
    """A private key as it would look wherever it slipped out."""
    number = key.private_numbers().private_value
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    raw = number.to_bytes(32)
    encoded = {base64.b64encode(part[start:])[4:-4].decode() for part in (der, raw) for start in range(3)}
    return {str(number), f"{number:x}", raw.hex(), repr(raw)[2:-1], der.hex(), *encoded}


def open_keys():
    rows = CertificateAuthority.objects.filter(key__isnull=False).select_related("key")
    return [signing.signer_of(row).key for row in rows]


def test_nowhere(alice, alice_client, bob_client, caplog):
    caplog.set_level(logging.DEBUG)
    texts = [repr(worker()), repr(client())]
    texts.append(repr(services.rotation_begin(actor=alice, purpose=Purpose.WORKER)))
    keys = open_keys()
    assert len(keys) == 3
    texts += [repr(signing.signer_of(row)) for row in CertificateAuthority.objects.all()]
    texts += [str(row) for row in AuthorityKey.objects.all()]
    for page in PAGES:
        for browser in (alice_client, bob_client):
            response = browser.get(page)
            texts.append(response.content.decode() + str(response.headers))
    out = io.StringIO()
    call_command("dumpdata", stdout=out)
    texts += [out.getvalue(), caplog.text, *(text for _, text in whole_database())]
    assert not [text[:80] for text in texts for key in keys for each in spellings(key) if each in text]


def test_the_search_above_would_find_one(alice):
    worker()
    (key,) = open_keys()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().replace("\n", "")
    assert any(each in pem for each in spellings(key))


def test_a_sealed_key_opens_in_its_own_row_alone(issued):
    client()
    one, other = AuthorityKey.objects.all()
    assert sealing.unseal(bytes(one.sealed), context=one.context)
    with pytest.raises(sealing.SealingError):
        sealing.unseal(bytes(one.sealed), context=other.context)


def test_rotating_secrets_seals_the_keys_again(settings, tmp_path, db):
    path = tmp_path / "sealing.keys"
    path.write_text(keyring.new_line() + "\n")
    path.chmod(0o600)
    settings.SEALING_KEYS, settings.SEALING_KEYS_FILE = "", path
    worker(), client()
    before = {row.pk: bytes(row.sealed) for row in AuthorityKey.objects.all()}
    out = io.StringIO()
    call_command("rotate_secrets", stdout=out)
    assert "keys of certificate authorities: 2 sealed again" in out.getvalue()
    current = keyring.load().current.id
    for row in AuthorityKey.objects.all():
        assert row.key_id == current and bytes(row.sealed) != before[row.pk]
    assert rotation.outstanding() == 0
    trusted = selectors.trusted(Purpose.WORKER)
    assert worker().chain.endswith(trusted[0])


def test_without_its_sealing_key_nothing_is_signed(settings, issued):
    settings.SEALING_KEYS = keyring.new_line()
    row = CertificateAuthority.objects.select_related("key").get()
    signing._open.cache_clear()
    with pytest.raises(sealing.SealingError, match="is not there"):
        signing.signer_of(row)
