"""Each way to be refused, tried by somebody who wants to be let in."""

import datetime as dt
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ExtendedKeyUsage, KeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from hypothesis import given
from hypothesis import strategies as st

from sdm.pki import chain, csr, profiles
from sdm.pki.chain import (
    AuthorityNotValid,
    Expired,
    IsAuthority,
    NotAnAuthority,
    NotYetValid,
    OtherCertificate,
    Refused,
    Revoked,
    UnknownAuthority,
    Unreadable,
    Untrusted,
    WrongIdentity,
    WrongName,
    WrongUsage,
    trust,
)
from sdm.pki.names import Kind, WorkerName
from sdm.pki.profiles import BACKDATED
from tests.pki.forge import (
    CLIENT,
    CLUSTER,
    DOMAIN,
    NOW,
    OTHER_CLUSTER,
    WORKER,
    Signed,
    make_authority,
    make_leaf,
    to_pem,
    with_extension,
    without,
)

SECOND = dt.timedelta(seconds=1)
AUTHORITY = make_authority(at=NOW - dt.timedelta(days=1))
CLIENTS = make_authority(Kind.CLIENT)
TRUSTED = trust(Kind.WORKER, [AUTHORITY.pem])
LEAF = make_leaf(AUTHORITY)


def refused(leaf, trusted=TRUSTED, at=NOW, **options):
    with pytest.raises(Untrusted) as caught:
        trusted.verify(leaf.certificate, at=at, **options)
    assert str(caught.value).endswith((".", "?")) or isinstance(caught.value, Refused)
    return type(caught.value)


def sans(*values):
    return with_extension(
        x509.SubjectAlternativeName(
            [
                x509.UniformResourceIdentifier(value) if value.startswith("spiffe:") else x509.DNSName(value)
                for value in values
            ]
        )
    )


def key_usage(**wanted):
    return KeyUsage(**{**profiles._NOTHING, **wanted})


def test_a_worker_and_a_client_are_who_they_say():
    assert TRUSTED.verify(LEAF.certificate, at=NOW) == WORKER
    assert TRUSTED.verify_worker(LEAF.certificate, cluster_id=CLUSTER, at=NOW) == WORKER
    clients = trust(Kind.CLIENT, [CLIENTS.pem])
    assert clients.verify(make_leaf(CLIENTS, CLIENT).certificate, at=NOW) == CLIENT


def test_expired():
    ends = LEAF.certificate.not_valid_after_utc
    assert TRUSTED.verify(LEAF.certificate, at=ends) == WORKER
    assert refused(LEAF, at=ends + SECOND) is Expired


def test_not_yet_valid():
    """A clock that is ten minutes behind is no attack."""
    assert TRUSTED.verify(LEAF.certificate, at=NOW - dt.timedelta(minutes=10)) == WORKER
    assert refused(LEAF, at=NOW - BACKDATED - SECOND) is NotYetValid


def test_wrong_authority():
    stranger = make_authority(label="Other CA")
    assert refused(make_leaf(stranger)) is UnknownAuthority


def test_an_authority_that_only_has_the_same_name():
    namesake = make_authority()
    assert namesake.certificate.subject == AUTHORITY.certificate.subject
    assert refused(make_leaf(namesake)) is UnknownAuthority


def test_nobody_is_trusted():
    assert refused(LEAF, trust(Kind.WORKER, [])) is UnknownAuthority


def test_a_certificate_signed_by_itself():
    key = csr.new_key()
    itself = Signed(LEAF.certificate, key)
    subject = with_subject(AUTHORITY.certificate.subject)
    assert refused(make_leaf(itself, key=key)) is UnknownAuthority
    assert refused(make_leaf(Signed(AUTHORITY.certificate, key), key=key, change=subject)) is UnknownAuthority


def with_subject(name):
    def change(builder):
        builder._subject_name = name
        return builder

    return change


@pytest.mark.parametrize(
    "usages",
    [[], [Usage.SERVER_AUTH], [Usage.CLIENT_AUTH], [Usage.CODE_SIGNING], [Usage.ANY_EXTENDED_KEY_USAGE]],
    ids=["none", "server alone", "client alone", "code", "any"],
)
def test_wrong_usage(usages):
    change = with_extension(ExtendedKeyUsage(usages)) if usages else without(ExtendedKeyUsage)
    assert refused(make_leaf(AUTHORITY, change=change)) is WrongUsage


@pytest.mark.parametrize(
    "change",
    [
        without(KeyUsage),
        with_extension(key_usage(digital_signature=True)),  # not critical
        with_extension(key_usage(key_encipherment=True), critical=True),
        with_extension(key_usage(digital_signature=True, crl_sign=True), critical=True),
        without(x509.BasicConstraints),
    ],
)
def test_a_key_for_something_else(change):
    assert refused(make_leaf(AUTHORITY, change=change)) is WrongUsage


def test_a_life_that_is_longer_than_the_profile_allows():
    """Somebody had the authority sign what it never signs."""

    def change(builder):
        builder._not_valid_after = (NOW + dt.timedelta(days=30)).replace(tzinfo=None)
        return builder

    assert refused(make_leaf(AUTHORITY, change=change)) is WrongUsage


def test_an_authority_s_certificate_used_as_a_leaf():
    assert refused(AUTHORITY) is IsAuthority
    named = make_leaf(
        AUTHORITY, change=with_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    assert refused(named) is IsAuthority
    signs = with_extension(key_usage(digital_signature=True, key_cert_sign=True), critical=True)
    assert refused(make_leaf(AUTHORITY, change=signs)) is IsAuthority


def test_a_leaf_signed_by_a_leaf():
    assert refused(make_leaf(LEAF)) is UnknownAuthority


def test_a_leaf_signed_by_an_authority_below_a_trusted_one():
    between_key = csr.new_key()
    builder = profiles.authority(
        Kind.WORKER, label="between", trust_domain=DOMAIN, key=between_key.public_key(), at=NOW
    )
    builder._issuer_name = AUTHORITY.certificate.subject
    between = Signed(builder.sign(AUTHORITY.key, hashes.SHA256()), between_key)
    assert refused(make_leaf(between)) is UnknownAuthority
    with pytest.raises(NotAnAuthority):
        trust(Kind.WORKER, [between.pem])


@pytest.mark.parametrize(
    "certificate",
    [
        LEAF,
        CLIENTS,
        make_authority(change=without(x509.BasicConstraints)),
        make_authority(change=with_extension(x509.BasicConstraints(ca=True, path_length=0))),
        make_authority(
            change=with_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        ),
        make_authority(change=without(KeyUsage)),
        make_authority(change=with_extension(key_usage(digital_signature=True), critical=True)),
        make_authority(change=without(ExtendedKeyUsage)),
    ],
    ids=["leaf", "client", "unmarked", "not critical", "any length", "no usage", "no signing", "any use"],
)
def test_a_certificate_where_an_authority_is_expected(certificate):
    """Among those that are trusted it would let its owner make others."""
    with pytest.raises(NotAnAuthority):
        trust(Kind.WORKER, [AUTHORITY.pem, certificate.pem])


def test_an_authority_that_names_no_installation():
    with pytest.raises(WrongName):
        trust(Kind.WORKER, [make_authority(change=without(x509.SubjectAlternativeName)).pem])
    with pytest.raises(WrongName):
        trust(Kind.WORKER, [make_authority(change=sans(str(WORKER))).pem])


def test_more_authorities_than_an_installation_has():
    with pytest.raises(NotAnAuthority, match="at most"):
        trust(Kind.WORKER, [AUTHORITY.pem] * 11)


def test_an_authority_that_is_not_valid_any_more():
    late = NOW + profiles.AUTHORITY_LIFE + SECOND
    assert refused(LEAF, at=late) is AuthorityNotValid


def test_revoked():
    serial = chain.serial_of(LEAF.certificate)
    assert refused(LEAF, revoked={serial}) is Revoked
    assert TRUSTED.verify(LEAF.certificate, at=NOW, revoked={"0" * 40}) == WORKER


def test_another_cluster_s_certificate():
    with pytest.raises(WrongIdentity, match=OTHER_CLUSTER):
        TRUSTED.verify_worker(LEAF.certificate, cluster_id=OTHER_CLUSTER, at=NOW)


def test_a_client_s_certificate_as_a_worker_s_and_the_other_way_round():
    client = make_leaf(CLIENTS, CLIENT)
    assert refused(client) is UnknownAuthority
    assert refused(LEAF, trust(Kind.CLIENT, [CLIENTS.pem])) is UnknownAuthority
    # Signed by the wrong authority, should it ever do that.
    uris = with_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(CLIENT))]))
    assert refused(make_leaf(AUTHORITY, change=uris)) is WrongName


def test_swapped_between_two_sessions():
    one, other = make_leaf(AUTHORITY), make_leaf(AUTHORITY)
    chain.check_same(one.certificate, chain.thumbprint(one.certificate))
    for expected in (chain.thumbprint(other.certificate), "", "ü", "\ud800"):
        with pytest.raises(OtherCertificate):
            chain.check_same(one.certificate, expected)


@pytest.mark.parametrize(
    "change",
    [
        without(x509.SubjectAlternativeName),
        sans("edge.example.com"),
        sans(str(WORKER), str(WorkerName(DOMAIN, OTHER_CLUSTER, WORKER.worker_id))),
        sans(str(WORKER), "one.example.com", "two.example.com"),
        sans(str(WORKER) + "/x"),
        sans("spiffe://other.example.com" + WORKER.path),
        with_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(str(WORKER)), x509.RFC822Name("a@example.com")]
            )
        ),
    ],
    ids=["none", "host alone", "two names", "two hosts", "longer", "another installation", "mail"],
)
def test_wrong_names(change):
    assert refused(make_leaf(AUTHORITY, change=change)) is WrongName


def test_a_client_that_names_a_host():
    trusted = trust(Kind.CLIENT, [CLIENTS.pem])
    named = make_leaf(CLIENTS, CLIENT, change=sans(str(CLIENT), "edge.example.com"))
    assert refused(named, trusted) is WrongName


def test_a_key_of_a_kind_that_is_never_asked_for():
    key = rsa.generate_private_key(65537, 2048)

    def change(builder):
        builder._public_key = key.public_key()
        return builder

    assert refused(make_leaf(AUTHORITY, change=change)) is Unreadable
    # What another authority makes its certificates for is its own affair.
    assert refused(make_leaf(make_authority(label="Other CA"), change=change)) is UnknownAuthority


def test_the_library_has_the_last_word():
    """A critical extension that nobody here knows may restrict what we would allow."""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    assert refused(make_leaf(AUTHORITY, change=with_extension(unknown, critical=True))) is Refused


def test_while_authorities_are_rotated_both_are_trusted():
    new = make_authority(label="CA 2")
    both = trust(Kind.WORKER, [AUTHORITY.pem, new.pem])
    assert both.verify(LEAF.certificate, at=NOW) == both.verify(make_leaf(new).certificate, at=NOW) == WORKER
    assert refused(LEAF, trust(Kind.WORKER, [new.pem])) is UnknownAuthority


@pytest.mark.parametrize(
    "pem", ["", "x", LEAF.pem * 2, LEAF.pem[:-60], csr.new_csr(LEAF.key), "\ud800", "\0"]
)
def test_what_is_not_one_certificate(pem):
    with pytest.raises(Unreadable):
        chain.read(pem)


@given(st.binary(max_size=9_000))
def test_any_bytes_are_answered_with_a_sentence(raw):
    with pytest.raises(Unreadable):
        chain.read(raw)


DER = LEAF.certificate.public_bytes(Encoding.DER)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0, len(DER) - 1), st.integers(1, 255))
def test_no_changed_byte_makes_it_somebody_else_s_or_unrevoked(position, change):
    """What is signed is all that is believed. The signature itself has more than one spelling, and so one
    certificate has more than one fingerprint: it is revoked by its serial number."""
    changed = bytearray(DER)
    changed[position] ^= change
    try:
        certificate = _load(bytes(changed))
        assert TRUSTED.verify(certificate, at=NOW) == WORKER
    except Untrusted:
        return
    assert certificate.tbs_certificate_bytes == LEAF.certificate.tbs_certificate_bytes
    assert refused(Signed(certificate, LEAF.key), revoked={chain.serial_of(LEAF.certificate)}) is Revoked


def _load(der):
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        raise Unreadable("not even a certificate") from None
    return chain.read(to_pem(certificate))


def test_openssl_refuses_the_same(tmp_path):
    """Where both have an opinion it is one."""
    (tmp_path / "ca.pem").write_text(AUTHORITY.pem)
    cases = {
        "good": (LEAF, True),
        "by a leaf": (make_leaf(LEAF), False),
        "stranger": (make_leaf(make_authority()), False),
        "expired": (make_leaf(AUTHORITY, at=NOW - dt.timedelta(days=2)), False),
        "early": (make_leaf(AUTHORITY, at=NOW + dt.timedelta(days=2)), False),
        "usage": (make_leaf(AUTHORITY, change=with_extension(ExtendedKeyUsage([Usage.CODE_SIGNING]))), False),
    }
    for name, (leaf, good) in cases.items():
        (tmp_path / "leaf.pem").write_text(leaf.pem)
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "sslserver"]
        command += ["-attime", str(int(NOW.timestamp())), "leaf.pem"]
        accepted = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
        assert accepted is good, name
        if not good:
            assert issubclass(refused(leaf), Untrusted)


def test_a_handshake_s_worth_of_checking_is_quick():
    best = min(_seconds(lambda: TRUSTED.verify(LEAF.certificate, at=NOW)) for _ in range(50))
    assert best < 0.005


def _seconds(act):
    start = time.perf_counter()
    act()
    return time.perf_counter() - start
