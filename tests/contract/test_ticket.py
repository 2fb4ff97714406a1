"""A ticket is what was signed, for as long as it says, and nothing that was changed passes for one."""

import base64
import datetime as dt
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract import ticket
from sdm.contract.ticket import LEEWAY, MAX_LENGTH, BadTicket, Ticket

NOW = dt.datetime(2026, 11, 22, 12, 0, 0, tzinfo=dt.UTC)
KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KEYS = {"tk-1": KEY.public_key()}
TICKET = Ticket("t-1", "a-1", "rs-1", "n-1", "ab" * 32, NOW + ticket.LIFETIME)


def part(fields: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()


def signed_by_hand(head: object, body: object) -> str:
    text = f"{part(head)}.{part(body)}"
    signature = base64.urlsafe_b64encode(KEY.sign(text.encode())).rstrip(b"=").decode()
    return f"{text}.{signature}"


HEAD = {"alg": "EdDSA", "kid": "tk-1", "typ": "sdm-ticket+jwt"}
BODY = {
    "aud": "n-1",
    "cnf": {"x5t#S256": base64.urlsafe_b64encode(b"\xab" * 32).rstrip(b"=").decode()},
    "exp": int((NOW + ticket.LIFETIME).timestamp()),
    "jti": "t-1",
    "res": "rs-1",
    "sub": "a-1",
}


def test_what_was_signed_is_what_is_read():
    text = ticket.sign(TICKET, key=KEY, key_id="tk-1")
    assert ticket.verify(text, keys=KEYS, at=NOW) == TICKET
    assert len(text) < MAX_LENGTH / 2


def test_the_one_made_by_hand_is_good():
    assert ticket.verify(signed_by_hand(HEAD, BODY), keys=KEYS, at=NOW) == TICKET


def test_it_is_over_when_it_says_so():
    text = ticket.sign(TICKET, key=KEY, key_id="tk-1")
    ticket.verify(text, keys=KEYS, at=TICKET.expires_at + LEEWAY - dt.timedelta(seconds=1))
    with pytest.raises(BadTicket, match="expired"):
        ticket.verify(text, keys=KEYS, at=TICKET.expires_at + LEEWAY)


def test_another_key_signs_nothing():
    with pytest.raises(BadTicket, match="signature"):
        ticket.verify(ticket.sign(TICKET, key=OTHER_KEY, key_id="tk-1"), keys=KEYS, at=NOW)
    with pytest.raises(BadTicket, match="not known"):
        ticket.verify(ticket.sign(TICKET, key=KEY, key_id="tk-2"), keys=KEYS, at=NOW)


@pytest.mark.parametrize(
    "head",
    [HEAD | {"alg": "none"}, HEAD | {"alg": "HS256"}, HEAD | {"typ": "JWT"}, HEAD | {"kid": None}, [], "x"],
)
def test_the_algorithm_and_the_type_are_ours(head: object):
    with pytest.raises(BadTicket):
        ticket.verify(signed_by_hand(head, BODY), keys=KEYS, at=NOW)


@pytest.mark.parametrize(
    "body",
    [
        *({name: value for name, value in BODY.items() if name != left_out} for left_out in BODY),
        BODY | {"exp": True},
        BODY | {"exp": "1"},
        BODY | {"exp": 10**30},
        BODY | {"cnf": {}},
        BODY | {"cnf": {"x5t#S256": "*"}},
        BODY | {"sub": ["a-1"]},
        [],
    ],
)
def test_a_signed_one_that_says_too_little_is_none(body: object):
    with pytest.raises(BadTicket):
        ticket.verify(signed_by_hand(HEAD, body), keys=KEYS, at=NOW)


@given(st.integers(0, 2**16), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(position: int, difference: int):
    text = ticket.sign(TICKET, key=KEY, key_id="tk-1").encode()
    at = position % len(text)
    changed = text[:at] + bytes([text[at] ^ difference]) + text[at + 1 :]
    try:
        read = ticket.verify(changed.decode("latin-1"), keys=KEYS, at=NOW)
    except BadTicket:
        return
    # The last letters of base64 carry bits that nobody reads.
    assert read == TICKET


@given(st.text())
def test_whatever_comes_is_a_ticket_or_none(text: str):
    with pytest.raises(BadTicket):
        ticket.verify(text, keys=KEYS, at=NOW)


def test_a_huge_one_is_not_even_looked_at():
    with pytest.raises(BadTicket, match="long"):
        ticket.verify("a." * MAX_LENGTH, keys=KEYS, at=NOW)
