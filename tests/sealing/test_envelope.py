import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealing import envelope
from sealing.envelope import Key, Malformed, NotGenuine, SealingError, TooLong, UnknownKey

KEY = Key("k1", b"\x01" * 32)
OTHER = Key("k2", b"\x02" * 32)
KEYS = {KEY.id: KEY}
PLACE = "resources.credential:rs-0000000000000001:password"


@given(st.binary(max_size=2_000), st.text(max_size=100))
def test_what_was_sealed_opens_again(plaintext: bytes, context: str):
    context = context.encode("utf-8", "replace").decode()
    assert envelope.unseal(KEYS, envelope.seal(KEY, plaintext, context=context), context=context) == plaintext


def test_the_same_secret_is_sealed_differently_each_time():
    assert envelope.seal(KEY, b"secret", context=PLACE) != envelope.seal(KEY, b"secret", context=PLACE)


def test_the_format_is_the_documented_one():
    sealed = envelope.seal(KEY, b"secret", context=PLACE)
    assert sealed[:4] == b"\x01\x02k1"
    assert len(sealed) == 4 + 12 + len(b"secret") + 16


def test_another_place_does_not_open():
    sealed = envelope.seal(KEY, b"secret", context=PLACE)
    with pytest.raises(NotGenuine, match="comes from another place"):
        envelope.unseal(KEYS, sealed, context=PLACE.replace("password", "username"))


def test_no_changed_byte_opens():
    sealed = envelope.seal(KEY, b"secret", context=PLACE)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(SealingError):
            envelope.unseal({**KEYS, "j1": KEY, "k0": KEY}, bytes(changed), context=PLACE)


def test_no_part_of_it_opens():
    sealed = envelope.seal(KEY, b"secret", context=PLACE)
    for length in range(len(sealed)):
        with pytest.raises((Malformed, NotGenuine)):
            envelope.unseal(KEYS, sealed[:length], context=PLACE)


def test_a_missing_key_is_named():
    sealed = envelope.seal(OTHER, b"secret", context=PLACE)
    with pytest.raises(UnknownKey, match="k2") as caught:
        envelope.unseal(KEYS, sealed, context=PLACE)
    assert caught.value.key_id == "k2"


def test_a_key_with_the_right_name_and_other_bytes_does_not_open():
    sealed = envelope.seal(OTHER, b"secret", context=PLACE)
    with pytest.raises(NotGenuine):
        envelope.unseal({"k2": Key("k2", KEY.secret)}, sealed, context=PLACE)


def test_a_later_version_is_named():
    with pytest.raises(Malformed, match="version 2"):
        envelope.key_id_of(b"\x02" + envelope.seal(KEY, b"", context=PLACE)[1:])


def test_sizes_are_bounded_both_ways():
    largest = b"x" * envelope.MAX_PLAINTEXT
    sealed = envelope.seal(KEY, largest, context=PLACE)
    assert envelope.unseal(KEYS, sealed, context=PLACE) == largest
    with pytest.raises(TooLong, match="65,537"):
        envelope.seal(KEY, largest + b"x", context=PLACE)
    with pytest.raises(Malformed, match="longer"):
        envelope.unseal(KEYS, sealed + b"x", context=PLACE)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_cleanly(junk: bytes):
    with pytest.raises(SealingError):
        envelope.unseal(KEYS, junk, context=PLACE)


def test_no_exception_shows_a_secret():
    secret = b"hunter2-the-secret"
    sealed = envelope.seal(KEY, secret, context=PLACE)
    for broken, place in ((sealed[:-1], PLACE), (sealed, "elsewhere"), (b"", PLACE)):
        with pytest.raises(SealingError) as caught:
            envelope.unseal(KEYS, broken, context=place)
        assert caught.value.__cause__ is None
        assert "hunter2" not in repr(caught.value)
    assert "secret=" not in repr(KEY) and str(KEY.secret) not in repr(KEY)
