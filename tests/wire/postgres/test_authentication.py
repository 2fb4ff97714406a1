"""Signing in to servers: those that ask for what they may, and those that cheat."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres.authentication import (
    MAX_NOTICES,
    MAX_SERVER_PARAMETERS,
    Authentication,
    Credentials,
    Session,
    server_gone,
)
from sdm.wire.postgres.cancel import CancelKey
from sdm.wire.postgres.errors import WITHHELD, PostgresError, Report, parse_report
from sdm.wire.postgres.messages import MAX_STARTUP_MESSAGE, Messages, message
from sdm.wire.postgres.scram import BOUND, MAX_ITERATIONS, PLAIN, KeyCache
from tests.wire.postgres.server import CLEARTEXT, KEY, MD5, OK, READY, VERSION, ScramServer, ask

PASSWORD = "correct horse"
TOLD = VERSION + KEY + READY
SESSION = Session(((b"server_version", b"15.1"),), CancelKey(7, b"abcd"), (), b"I", b"")


def signing_in(
    password: str | None = PASSWORD, *, verified: bool = False, binding: bytes | None = None
) -> Authentication:
    return Authentication(Credentials("app", password), KeyCache(), verified_tls=verified, binding=binding)


def only_message(data: bytes) -> tuple[bytes, bytes]:
    (found,) = Messages().feed(data)
    return found.kind, found.body


def answer_of(authentication: Authentication) -> bytes:
    kind, body = only_message(authentication.data_to_send())
    assert kind == b"p"
    return body


def offer(*mechanisms: str) -> bytes:
    return ask(10, b"".join(name.encode() + b"\0" for name in mechanisms) + b"\0")


def scram_until_proof(authentication: Authentication, server: ScramServer) -> bytes:
    """The exchange until the server's own proof, which is returned."""
    assert authentication.feed(offer(*server.mechanisms)) is None
    mechanism, _, first = answer_of(authentication).partition(b"\0")
    assert mechanism.decode() == server.mechanisms[0]
    assert first[:4] == len(first[4:]).to_bytes(4)
    assert authentication.feed(ask(11, server.challenge(first[4:]))) is None
    return server.final(answer_of(authentication))


def test_a_server_that_trusts_is_signed_in_to():
    assert signing_in(None).feed(OK + TOLD) == SESSION


@pytest.mark.parametrize("binding", [None, b"digest"])
def test_scram(binding: bytes | None):
    authentication = signing_in(binding=binding)
    proof = scram_until_proof(authentication, ScramServer(PASSWORD, binding=binding))
    assert authentication.feed(ask(12, proof) + OK + TOLD) == SESSION
    assert authentication.data_to_send() == b""


def test_md5():
    authentication = signing_in()
    assert authentication.feed(MD5) is None
    # md5(md5(password + user) + salt), calculated by hand.
    assert answer_of(authentication) == b"md5adb8e4a7f7ca8f34a46d02c0d771d99f\0"
    assert authentication.feed(OK + TOLD) == SESSION


def test_clear_text_inside_verified_tls():
    authentication = signing_in(verified=True)
    assert authentication.feed(CLEARTEXT) is None
    assert answer_of(authentication) == PASSWORD.encode() + b"\0"
    assert authentication.feed(OK + TOLD) == SESSION


def refused(authentication: Authentication, data: bytes) -> Report:
    with pytest.raises(PostgresError) as raised:
        authentication.feed(data)
    assert PASSWORD.encode() not in authentication.data_to_send()
    assert PASSWORD not in str(raised.value) + repr(raised.value.report)
    return raised.value.report


def test_clear_text_outside_of_verified_tls_is_refused_in_words():
    report = refused(signing_in(), CLEARTEXT)
    assert "clear text" in report.message
    assert "certificate" in report.message
    assert report.hint


def test_clear_text_in_the_midst_of_scram_is_refused():
    authentication = signing_in(verified=True)
    authentication.feed(offer(PLAIN))
    authentication.data_to_send()
    assert "out of turn" in refused(authentication, CLEARTEXT).message


UNSUPPORTED = {2: "Kerberos", 6: "SCM", 7: "GSSAPI", 9: "SSPI"}


@pytest.mark.parametrize(("code", "name"), UNSUPPORTED.items())
def test_what_is_not_supported_is_named(code: int, name: str):
    report = refused(signing_in(), ask(code))
    assert name in report.message
    assert "pg_hba.conf" in report.hint


@pytest.mark.parametrize("data", [CLEARTEXT, MD5, offer(PLAIN)], ids=["clear", "md5", "scram"])
def test_a_resource_without_a_password_says_so(data: bytes):
    assert "has none" in refused(signing_in(None, verified=True), data).message


def test_a_server_that_skips_its_own_proof_is_refused():
    authentication = signing_in()
    scram_until_proof(authentication, ScramServer(PASSWORD))
    assert "out of turn" in refused(authentication, OK).message


def test_a_server_that_is_content_after_the_first_word_is_refused():
    authentication = signing_in()
    authentication.feed(offer(PLAIN))
    assert "out of turn" in refused(authentication, OK).message


def test_a_server_that_proves_nothing_is_refused():
    authentication = signing_in()
    scram_until_proof(authentication, ScramServer(PASSWORD))
    assert "not the server" in refused(authentication, ask(12, b"v=AAAA")).message


def test_a_server_that_would_have_us_calculate_for_minutes_is_refused():
    authentication = signing_in()
    server = ScramServer(PASSWORD, iterations=1)
    authentication.feed(offer(PLAIN))
    first = answer_of(authentication).partition(b"\0")[2][4:]
    challenge = server.challenge(first).replace(b"i=1", b"i=%d" % (MAX_ITERATIONS + 1))
    assert "iterations" in refused(authentication, ask(11, challenge)).message


def test_a_server_without_a_mechanism_of_ours_is_refused():
    assert "OAUTHBEARER" in refused(signing_in(), offer("OAUTHBEARER")).message
    assert "SCRAM" in refused(signing_in(), offer(BOUND)).message


def report_of(state: str, text: str) -> bytes:
    return Report(state, text).to_bytes()


def test_a_servers_error_is_ours():
    report = refused(signing_in(), report_of("28P01", 'password authentication failed for user "app"'))
    assert report.sqlstate == "28P01"
    assert report.message == 'password authentication failed for user "app"'


def test_an_error_that_shows_the_password_is_withheld():
    report = refused(signing_in(), report_of("28P01", f"{PASSWORD} is wrong"))
    assert (report.sqlstate, report.message) == ("28P01", WITHHELD)


def test_a_password_at_the_place_where_long_texts_are_cut_is_found():
    report = refused(signing_in(), report_of("28P01", "x" * 1995 + PASSWORD))
    assert report.message == WITHHELD


def test_notices_are_collected_without_the_password():
    notice = Report("01000", "welcome", severity="NOTICE").to_bytes(b"N")
    leak = Report("01000", PASSWORD, severity="NOTICE").to_bytes(b"N")
    session = signing_in().feed(OK + notice + leak + TOLD)
    assert session is not None
    said = [parse_report(only_message(data)[1]) for data in session.notices]
    assert [(report.message, report.severity) for report in said] == [
        ("welcome", "NOTICE"),
        (WITHHELD, "NOTICE"),
    ]


def test_what_follows_ready_for_query_is_left():
    session = signing_in().feed(OK + TOLD + b"N\0\0")
    assert session is not None
    assert session.rest == b"N\0\0"


def test_a_server_without_a_cancel_key_is_signed_in_to():
    session = signing_in().feed(OK + READY)
    assert session is not None
    assert session.key is None


CHEATS = {
    "an unknown message": message(b"?"),
    "a query's answer": message(b"T", b"\0\0"),
    "length 0": b"R\0\0\0\0",
    "length 3": b"R\0\0\0\3",
    "length 2^31-1": b"R\x7f\xff\xff\xff",
    "length 2^32-1": b"N\xff\xff\xff\xff",
    "just too long": b"N" + (MAX_STARTUP_MESSAGE + 1).to_bytes(4),
    "a short request": message(b"R", b"\0"),
    "an unknown request": ask(99),
    "md5 without a salt": ask(5),
    "md5 with a long salt": ask(5, b"salty"),
    "a challenge first": ask(11, b"r=x,s=c2FsdA==,i=1"),
    "a proof first": ask(12, b"v=AAAA"),
    "ready without authentication": READY,
    "a parameter without authentication": VERSION,
    "a key without authentication": KEY,
    "two acceptances": OK + OK,
    "a short key": OK + message(b"K", bytes(7)),
    "a long key": OK + message(b"K", bytes(261)),
    "a parameter without an end": OK + message(b"S", b"name\0value"),
    "a parameter without a name": OK + message(b"S", b"\0value\0"),
    "a parameter with more": OK + message(b"S", b"name\0value\0more\0"),
    "an unknown state": OK + message(b"Z", b"X"),
    "no state": OK + message(b"Z"),
    "another version": message(b"v", (3 << 16 | 2).to_bytes(4) + bytes(4)),
    "options nobody asked for": message(b"v", (3 << 16).to_bytes(4) + b"\0\0\0\1x\0"),
    "a short version": message(b"v", b"\0\3"),
    "a flood of notices": OK + Report("01000", "x", severity="NOTICE").to_bytes(b"N") * (MAX_NOTICES + 1),
    "a flood of parameters": OK
    + b"".join(message(b"S", b"n%d\0x\0" % number) for number in range(MAX_SERVER_PARAMETERS + 1)),
}


@pytest.mark.parametrize("data", CHEATS.values(), ids=CHEATS)
def test_what_a_server_may_not_send_is_refused(data: bytes):
    refused(signing_in(verified=True), data)


@pytest.mark.parametrize("feed", [OK + TOLD, CLEARTEXT], ids=["trust", "clear"])
def test_byte_by_byte_it_is_the_same(feed: bytes):
    whole, bytewise = signing_in(verified=True), signing_in(verified=True)
    results = [bytewise.feed(feed[index : index + 1]) for index in range(len(feed))]
    assert results[-1] == whole.feed(feed)
    assert not any(results[:-1])
    assert bytewise.data_to_send() == whole.data_to_send()


def test_cut_off_anywhere_it_waits_for_more():
    data = OK + TOLD
    for cut in range(len(data)):
        authentication = signing_in()
        assert authentication.feed(data[:cut]) is None
        assert authentication.feed(data[cut:]) == SESSION


BEGINNINGS: dict[str, Callable[[], bytes]] = {
    "nothing": bytes,
    "OK": lambda: OK,
    "SASL": lambda: offer(PLAIN),
}


@given(st.binary(max_size=200), st.sampled_from([b"", *b"RENSKvZ"]), st.sampled_from(list(BEGINNINGS)))
def test_nonsense_is_refused_or_waited_for_and_never_more(data: bytes, kind: bytes | int, begin: str):
    authentication = signing_in(verified=True)
    head = bytes([kind]) + (len(data) + 4).to_bytes(4) if isinstance(kind, int) else kind
    try:
        authentication.feed(BEGINNINGS[begin]() + head + data)
    except PostgresError as error:
        assert PASSWORD not in str(error)


def test_after_the_end_there_is_no_more():
    authentication = signing_in()
    authentication.feed(OK + TOLD)
    with pytest.raises(PostgresError):
        authentication.feed(READY)


def test_a_password_with_a_nul_is_refused_and_never_cut():
    assert "NUL" in refused(signing_in("a\0b", verified=True), CLEARTEXT).message


def test_secrets_are_not_in_representations():
    assert PASSWORD not in repr(Credentials("app", PASSWORD))


def test_a_server_that_goes_without_a_word_is_told_of():
    assert "before" in str(server_gone(signed_in=False))
    assert "08006" in str(server_gone(signed_in=True))
