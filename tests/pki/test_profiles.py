import dataclasses
import datetime as dt
import ipaddress
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from sdm.pki import chain, csr, profiles
from sdm.pki.names import Kind
from sdm.pki.profiles import BACKDATED
from tests.pki.forge import CLIENT, CONTROL, HOST, NOW, WORKER, make_authority, make_leaf

HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def authority():
    return make_authority()


def leaf_for(host, authority):
    builder = profiles.leaf(
        WORKER,
        key=csr.new_key().public_key(),
        issuer=authority.certificate,
        at=NOW,
        hosts=() if host is None else (host,),
    )
    return builder.sign(authority.key, hashes.SHA256())


def alternatives(certificate):
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def usages(certificate):
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_worker_s_certificate(authority):
    leaf = make_leaf(authority).certificate
    assert usages(leaf) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert alternatives(leaf) == [
        x509.UniformResourceIdentifier(str(WORKER)),
        x509.DNSName("edge.example.com"),
    ]
    assert leaf.not_valid_after_utc == NOW + 24 * HOUR
    assert leaf.not_valid_before_utc == NOW - BACKDATED
    assert leaf.subject.rfc4514_string() == "CN=w-5d41402abc4b2a76"


def test_a_client_s_certificate():
    leaf = make_leaf(make_authority(Kind.CLIENT), CLIENT).certificate
    assert usages(leaf) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert alternatives(leaf) == [x509.UniformResourceIdentifier(str(CLIENT))]
    assert leaf.not_valid_after_utc == NOW + 12 * HOUR


def test_the_control_plane_s_certificate_is_a_server_s_with_all_its_names():
    authority = make_authority(Kind.CONTROL)
    hosts = ["console.example.com", "10.0.0.21", "::1"]
    key = csr.new_key().public_key()
    builder = profiles.leaf(CONTROL, key=key, issuer=authority.certificate, at=NOW, hosts=hosts)
    leaf = builder.sign(authority.key, hashes.SHA256())
    assert usages(leaf) == {ExtendedKeyUsageOID.SERVER_AUTH}
    assert alternatives(leaf) == [
        x509.UniformResourceIdentifier("spiffe://console.example.com/control-plane"),
        x509.DNSName("console.example.com"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.21")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    assert chain.trust(Kind.CONTROL, [authority.pem]).verify(leaf, at=NOW) == CONTROL
    for kind in (Kind.WORKER, Kind.CLIENT):
        with pytest.raises(chain.NotAnAuthority):
            chain.trust(kind, [authority.pem])


def test_a_certificate_names_so_many_hosts_and_no_more():
    for name, hosts in ((WORKER, [HOST] * 2), (CONTROL, [HOST] * 21)):
        with pytest.raises(ValueError, match="at most"):
            issuer = make_authority(name.kind).certificate
            profiles.leaf(name, key=csr.new_key().public_key(), issuer=issuer, at=NOW, hosts=hosts)


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("edge.example.com", x509.DNSName("edge.example.com")),
        ("Edge.Example.COM.", x509.DNSName("edge.example.com")),
        ("10.0.0.21", x509.IPAddress(ipaddress.ip_address("10.0.0.21"))),
        ("[2001:db8::1]", x509.IPAddress(ipaddress.ip_address("2001:db8::1"))),
        ("2001:DB8:0::1", x509.IPAddress(ipaddress.ip_address("2001:db8::1"))),
        # Neither of the two addresses that programs read it as.
        ("10.0.0.021", x509.DNSName("10.0.0.021")),
    ],
)
def test_the_advertised_host_is_named(authority, host, named):
    assert alternatives(leaf_for(host, authority))[1] == named


@pytest.mark.parametrize(
    "host", ["", "*.example.com", "a b", "edge.example.com:443", "ü.example.com", "x" * 64]
)
def test_what_is_no_host_gets_no_certificate(authority, host):
    with pytest.raises(ValueError):
        leaf_for(host, authority)


def test_a_worker_names_a_host_and_a_client_none(authority):
    with pytest.raises(ValueError, match="needs a host"):
        leaf_for(None, authority)
    with pytest.raises(ValueError, match="names no host"):
        profiles.leaf(
            CLIENT,
            key=csr.new_key().public_key(),
            issuer=authority.certificate,
            at=NOW,
            hosts=["x.example.com"],
        )


def test_an_authority_signs_leaves_of_one_kind_and_nothing_below(authority):
    certificate = authority.certificate
    for kind in (x509.BasicConstraints, x509.KeyUsage):
        assert certificate.extensions.get_extension_for_class(kind).critical
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign and not usage.digital_signature
    assert usages(make_authority(Kind.CLIENT).certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert chain.trust_domain_of(certificate) == "console.example.com"


def test_a_leaf_never_outlives_its_authority():
    late = NOW + profiles.AUTHORITY_LIFE - HOUR
    authority = make_authority()
    assert make_leaf(authority, at=late).certificate.not_valid_after_utc == late + HOUR


def test_serial_numbers_do_not_repeat_and_cannot_be_guessed(authority):
    serials = {make_leaf(authority).certificate.serial_number for _ in range(100)}
    assert len(serials) == 100
    assert min(serials).bit_length() > 100


@pytest.mark.parametrize(
    "change",
    [
        {"lifetime": dt.timedelta(0)},
        {"lifetime": dt.timedelta(days=3)},
        {"usages": ()},
        {"usages": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)},
        {"hosts": 1},
        {"hosts": -1},
        {"hosts": 21},
    ],
)
def test_a_profile_that_breaks_the_rules_cannot_be_made(change):
    with pytest.raises(ValueError, match=r"leaf|leaves"):
        dataclasses.replace(profiles.CLIENT, **change)


def test_it_is_renewed_about_half_way(authority):
    leaf = make_leaf(authority).certificate
    assert profiles.renew_at(leaf, chance=0.5) == NOW + 12 * HOUR
    assert profiles.renew_at(leaf, chance=0) == NOW + 9.6 * HOUR
    assert profiles.renew_at(leaf, chance=1) == NOW + 14.4 * HOUR


@pytest.mark.parametrize(
    ("kind", "name", "purpose"),
    [("worker", WORKER, "sslserver"), ("client", CLIENT, "sslclient"), ("control", CONTROL, "sslserver")],
)
def test_openssl_accepts_what_is_issued(tmp_path, kind, name, purpose):
    authority = make_authority(Kind(kind))
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "leaf.pem").write_text(make_leaf(authority, name).pem)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose]
    command += ["-attime", str(int(NOW.timestamp()))]
    if name is not CLIENT:
        command += ["-verify_hostname", "edge.example.com"]
    done = subprocess.run([*command, "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "leaf.pem: OK\n", done.stderr


def test_what_strict_verifiers_ask_for_is_there(authority):
    leaf = make_leaf(authority).certificate
    found = {extension.oid for extension in leaf.extensions}
    assert {ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.SUBJECT_KEY_IDENTIFIER} <= found
    assert leaf.version is x509.Version.v3
