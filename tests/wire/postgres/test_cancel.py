"""Cancel keys, as they are made and written."""

from sdm.wire.postgres.cancel import CancelKey, new_key


def test_process_ids_are_positive_for_those_who_read_them_with_a_sign():
    assert all(0 < new_key(4).process_id < 2**31 for _ in range(100))


def test_a_key_is_written_as_the_protocol_says():
    key = CancelKey(258, b"\x0a\x0b\x0c\x0d")
    assert key.to_bytes() == b"K\0\0\0\x0c\0\0\1\2\x0a\x0b\x0c\x0d"
    assert key.request() == b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\1\2\x0a\x0b\x0c\x0d"


def test_a_secret_is_not_in_a_keys_representation():
    assert "abcd" not in repr(CancelKey(1, b"abcd"))
