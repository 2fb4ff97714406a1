import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract.address import Address, has_ambiguous_zeros


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("111.111.111.111:443", "111.111.111.111:443"),
        # The seed's own example: kept to the letter, for nobody knows which of two addresses is meant.
        ("10.0.0.021:443", "10.0.0.021:443"),
        ("  Proxy.Example.COM:8443 ", "proxy.example.com:8443"),
        ("[2001:DB8:0:0::1]:443", "[2001:db8::1]:443"),
        ("localhost:1", "localhost:1"),
        ("db_primary.internal:65535", "db_primary.internal:65535"),
    ],
)
def test_an_address_has_one_canonical_form(text, canonical):
    assert str(Address.parse(text)) == canonical
    assert str(Address.parse(canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "such as 111.111.111.111:443"),
        ("10.0.0.21", "Did you mean 10.0.0.21:443?"),
        ("proxy.example.com", "Did you mean proxy.example.com:443?"),
        ("2001:db8::1", "Did you mean [2001:db8::1]:443?"),
        ("[2001:db8::1]", "Did you mean [2001:db8::1]:443?"),
        ("10.0.0.21:0", "from 1 to 65535"),
        ("10.0.0.21:65536", "from 1 to 65535"),
        ("10.0.0.21:http", "from 1 to 65535"),
        ("10.0.0.21:٤٤٣", "from 1 to 65535"),
        (":443", "The host is missing"),
        ("10.0.0.256:443", "from 0 to 255"),
        ("https://proxy.example.com:443", "looks like a URL"),
        ("proxy.example.com:443/path", "looks like a URL"),
        ("a b:443", "not a name or an address"),
        ("<script>:443", "not a name or an address"),
        ("</script>:443", "looks like a URL"),
        ("-leading.example.com:443", "not a name or an address"),
        ("[::1:443", "IPv6 address is not valid"),
        ("[fe80::1%eth0]:443", "zone"),
        ("x" * 1_000_000, "at most"),
        ("a\0b:443", "not a name or an address"),
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(text, message):
    with pytest.raises(ValueError, match=r"^[A-Z].*[.?]$") as refusal:
        Address.parse(text)
    assert message in str(refusal.value)


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text):
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert Address.parse(str(address)) == address


def test_leading_zeros_are_noticed():
    assert has_ambiguous_zeros("10.0.0.021")
    assert not has_ambiguous_zeros("10.0.0.0")
    assert not has_ambiguous_zeros("010.example.com")
