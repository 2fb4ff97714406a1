"""Cancel keys: ours, foreign, guessed, revoked."""

import pytest

from sdm.wire.postgres.cancel import CancelKey, CancelKeys, new_key


@pytest.mark.parametrize("length", [4, 32])
def test_a_key_leads_to_its_session_until_it_is_revoked(length: int):
    keys: CancelKeys[str] = CancelKeys()
    ours, other = keys.issue("ours", length), keys.issue("other", length)
    assert len(ours.secret) == length
    assert (keys.find(ours), keys.find(other)) == ("ours", "other")
    keys.revoke(ours)
    keys.revoke(ours)
    assert (keys.find(ours), keys.find(other)) == (None, "other")


def test_a_foreign_key_leads_nowhere_and_revokes_nothing():
    keys: CancelKeys[str] = CancelKeys()
    key = keys.issue("session")
    foreign = [
        CancelKey(key.process_id, bytes(4)),
        CancelKey(key.process_id, b""),
        CancelKey(key.process_id, key.secret + b"\0"),
        CancelKey(key.process_id ^ 1, key.secret),
        CancelKey(0, b""),
    ]
    for guess in foreign:
        assert keys.find(guess) is None
        keys.revoke(guess)
    assert keys.find(key) == "session"
    assert len(keys) == 1


def test_two_sessions_never_share_a_process_id(monkeypatch):
    drawn = iter([CancelKey(7, b"aaaa"), CancelKey(7, b"bbbb"), CancelKey(8, b"cccc")])
    monkeypatch.setattr("sdm.wire.postgres.cancel.new_key", lambda length: next(drawn))
    keys: CancelKeys[str] = CancelKeys()
    assert keys.issue("first").process_id == 7
    assert keys.issue("second").process_id == 8


def test_process_ids_are_positive_for_those_who_read_them_with_a_sign():
    assert all(0 < new_key(4).process_id < 2**31 for _ in range(100))


def test_a_key_is_written_as_the_protocol_says():
    key = CancelKey(258, b"\x0a\x0b\x0c\x0d")
    assert key.to_bytes() == b"K\0\0\0\x0c\0\0\1\2\x0a\x0b\x0c\x0d"
    assert key.request() == b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\1\2\x0a\x0b\x0c\x0d"


def test_a_secret_is_not_in_a_keys_representation():
    assert "abcd" not in repr(CancelKey(1, b"abcd"))
