import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract.target import canonical_target, why_not


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("DB.Internal", "db.internal"),
        ("10.0.0.5", "10.0.0.5"),
        ("2001:DB8::1", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("::1", "[::1]"),
        ("3com.example", "3com.example"),
        ("192.168.1.1", "192.168.1.1"),
    ],
)
def test_a_server_may_be_anywhere_that_a_server_can_be(text, host):
    assert canonical_target(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "[fe80::a9fe:a9fe]",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "[fd00:0EC2::0254]",
        "fd20:ce::254",
        "192.0.0.192",
        "100.100.100.200",
        "::ffff:100.100.100.200",
        "168.63.129.16",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "169.254.43518",
        "0251.0376.0251.0376",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ],
)
def test_an_address_that_is_nobody_s_server_is_refused_in_every_spelling(text):
    with pytest.raises(ValueError, match=r"\.$"):
        canonical_target(text)


def test_leading_zeros_are_refused_with_the_plain_spelling():
    with pytest.raises(ValueError, match=r"10\.0\.0\.21"):
        canonical_target("10.0.0.021")


@given(st.ip_addresses(v=4, network="169.254.0.0/16"))
def test_no_link_local_address_hides_in_ipv6(address: ipaddress.IPv4Address):
    assert why_not(ipaddress.IPv6Address(f"::ffff:{address}"))
    assert why_not(ipaddress.IPv6Address(f"64:ff9b::{address}"))


@given(st.text(max_size=300))
def test_any_text_is_a_host_or_refused_with_a_sentence(text: str):
    try:
        assert canonical_target(canonical_target(text)) == canonical_target(text)
    except ValueError as error:
        assert len(str(error)) > 10
