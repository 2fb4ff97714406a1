import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract.keys import LENGTH, PREFIX, MalformedKey, SecretKey


@given(st.binary(min_size=32, max_size=32))
def test_a_secret_key_survives_being_pasted(seed):
    text = SecretKey(seed).reveal()
    assert len(text) == LENGTH
    assert text.startswith(PREFIX)
    assert SecretKey.parse(f"  {text}\n").seed == seed


@given(st.integers(0, LENGTH - 1), st.sampled_from("0AZaz_-é\0"))
def test_any_changed_character_is_noticed(position, character):
    text = SecretKey(bytes(range(32))).reveal()
    changed = text[:position] + character + text[position + 1 :]
    if changed != text:
        with pytest.raises(MalformedKey):
            SecretKey.parse(changed)


@given(st.integers(1, LENGTH - 1))
def test_a_truncated_paste_is_noticed(length):
    with pytest.raises(MalformedKey):
        SecretKey.parse(SecretKey.generate().reveal()[:length])


@pytest.mark.parametrize(
    "text", ["", "gk-5d41402abc4b2a76", "x" * 1_000_000, PREFIX + "z" * 49, PREFIX + "é" * 49]
)
def test_what_is_no_secret_key_is_refused_without_repeating_it(text):
    with pytest.raises(MalformedKey) as refusal:
        SecretKey.parse(text)
    assert len(text) < 10 or text not in str(refusal.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"', '"', "quotation marks"),
        ("'", "", "quotation marks"),
        ("", '"', "quotation marks"),
        ("\u201c", "\u201d", "quotation marks"),
        ("\ufeff", "", "byte order mark"),
    ],
)
def test_what_stands_around_a_key_is_named(before: str, after: str, words: str):
    with pytest.raises(MalformedKey, match=words):
        SecretKey.parse(f"{before}{SecretKey.generate().reveal()}{after}\n")


def test_the_public_half_checks_what_the_secret_half_signed():
    key = SecretKey.generate()
    public = Ed25519PublicKey.from_public_bytes(key.public_bytes())
    public.verify(key.sign(b"challenge"), b"challenge")
    with pytest.raises(InvalidSignature):
        public.verify(key.sign(b"challenge"), b"another")


def test_a_secret_key_does_not_show_itself():
    key = SecretKey.generate()
    assert key.reveal() not in f"{key!r} {key}"
    assert key.seed.hex() not in f"{key!r} {key}"
    assert repr(key.seed) not in repr(key)
