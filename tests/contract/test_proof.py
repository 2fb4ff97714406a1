"""What a worker signs is good for one call, and nothing that was changed passes for it."""

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract import proof
from sdm.contract.proof import BadProof
from sdm.contract.reasons import Reason, Then
from sdm.pki import csr, profiles
from sdm.pki.names import Kind

NOW = dt.datetime(2026, 11, 22, 12, 0, 0, 123_000, tzinfo=dt.UTC)
KEY = csr.new_key()
CERTIFICATE = profiles.authority(
    Kind.WORKER, label="x", trust_domain="acme.example.com", key=KEY.public_key(), at=NOW
).sign(KEY, hashes.SHA256())


def of_call(method: str = "/service/Method", request: bytes = b"request") -> str:
    return proof.of_call(KEY, CERTIFICATE, method=method, request=request, at=NOW)


def test_what_was_signed_is_what_is_checked():
    given = proof.read(of_call())
    assert given.at == NOW
    assert given.certificate == CERTIFICATE
    given.check("/service/Method", b"request")


@pytest.mark.parametrize(("method", "request_"), [("/service/Other", b"request"), ("/service/Method", b"")])
def test_another_call_is_not_proved(method: str, request_: bytes):
    with pytest.raises(BadProof):
        proof.read(of_call()).check(method, request_)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_it_is_good_for_minutes(minutes: int):
    given = proof.read(of_call())
    assert given.is_timely(NOW + dt.timedelta(minutes=minutes / 2))
    assert not given.is_timely(NOW + dt.timedelta(minutes=minutes))


# A warning is all that the library has for it yet.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0), st.integers(1, 255))
def test_a_changed_byte_proves_nothing(position: int, change: int):
    raw = bytearray(base64.urlsafe_b64decode(of_call() + "=="))
    raw[position % len(raw)] ^= change
    with pytest.raises(BadProof):
        proof.read(base64.urlsafe_b64encode(bytes(raw)).decode()).check("/service/Method", b"request")


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_is_no_proof_is_said_to_be_none(text: str):
    with pytest.raises(BadProof):
        proof.read(text)


def test_a_registration_is_bound_to_nonce_and_request():
    assert (
        len({proof.registration(b"a", b"b"), proof.registration(b"ab", b""), proof.registration(b"", b"ab")})
        == 3
    )


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_happened_and_what_follows(reason: Reason):
    assert reason.sentence.endswith((".", "?"))
    assert reason.may_retry == (reason.then is not Then.END)
    assert reason.isascii()


def test_a_key_of_a_kind_that_is_never_given_is_not_even_tried():
    """A stranger makes certificates of any kind: some keys take many times as long to check."""
    key = ec.generate_private_key(ec.BrainpoolP512R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + dt.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    given = proof.read(proof.of_call(key, certificate, method="/service/Method", request=b"", at=NOW))
    with pytest.raises(BadProof, match="not used here"):
        given.check("/service/Method", b"")
