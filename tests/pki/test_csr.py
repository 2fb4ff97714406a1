import base64
import contextlib
import time
import tracemalloc

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from sdm.pki import csr
from sdm.pki.csr import BadRequest
from tests.pki.forge import make_authority, make_leaf

KEY = csr.new_key()
GOOD = csr.new_csr(KEY)
DER = x509.load_pem_x509_csr(GOOD.encode()).public_bytes(Encoding.DER)


def request_of(key, hash_algorithm=None, **attributes):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hash_algorithm).public_bytes(Encoding.PEM)


def as_pem(der):
    return (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(der)
        + b"-----END CERTIFICATE REQUEST-----\n"
    )


def test_the_key_of_a_request_is_read():
    assert csr.read(GOOD) == KEY.public_key()
    assert csr.read(GOOD.encode()) == KEY.public_key()


def test_p_384_is_a_key_too():
    key = ec.generate_private_key(ec.SECP384R1())
    assert csr.read(request_of(key, hashes.SHA384())) == key.public_key()


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP521R1()), hashes.SHA256()),
        (ec.generate_private_key(ec.SECP224R1()), hashes.SHA256()),
        (ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()),
        (rsa.generate_private_key(65537, 2048), hashes.SHA256()),
        (ed25519.Ed25519PrivateKey.generate(), None),
        (dsa.generate_private_key(2048), hashes.SHA256()),
    ],
    ids=["P-521", "P-224", "secp256k1", "RSA", "Ed25519", "DSA"],
)
def test_other_keys_are_refused(key, algorithm):
    with pytest.raises(BadRequest):
        csr.read(request_of(key, algorithm))


def test_somebody_else_s_key_is_refused():
    """A request whose key was replaced after it was signed."""
    spki = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    other = csr.new_key().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    forged = as_pem(DER.replace(spki, other))
    assert forged != GOOD.encode()
    with pytest.raises(BadRequest, match="not signed with the key"):
        csr.read(forged)


def test_names_and_extensions_in_a_request_change_nothing():
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=9), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("evil.example.com")]), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    assert csr.read(asked.public_bytes(Encoding.PEM)) == KEY.public_key()


@pytest.mark.parametrize("pem", ["", "x", GOOD[:-40], GOOD.replace("REQUEST", "THING"), GOOD * 20, "\ud800"])
def test_what_is_no_request_is_said_to_be_none(pem):
    with pytest.raises(BadRequest):
        csr.read(pem)


def test_a_certificate_is_no_request():
    authority = make_authority()
    for certificate in (authority, make_leaf(authority)):
        with pytest.raises(BadRequest):
            csr.read(certificate.pem)


@given(st.binary(max_size=5_000))
def test_any_bytes_are_answered_with_a_sentence(raw):
    for request in (raw, as_pem(raw)):
        with pytest.raises(BadRequest) as caught:
            csr.read(request)
        assert len(str(caught.value)) < 200


@given(st.integers(0, len(DER) - 1), st.integers(1, 255))
def test_no_changed_byte_passes_with_another_key(position, change):
    changed = bytearray(DER)
    changed[position] ^= change
    with contextlib.suppress(BadRequest):
        assert csr.read(as_pem(bytes(changed))) == KEY.public_key()


def test_cut_off_anywhere_it_is_refused():
    # In one test: how long a signature is differs from one to the next.
    for length in range(0, len(DER), 7):
        with pytest.raises(BadRequest):
            csr.read(as_pem(DER[:length]))


def test_a_huge_request_costs_neither_time_nor_memory():
    huge = "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 50_000_000
    raw = huge.encode()
    start = time.perf_counter()
    tracemalloc.start()
    for request in (huge, raw):
        with pytest.raises(BadRequest, match="at most"):
            csr.read(request)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert time.perf_counter() - start < 0.5
