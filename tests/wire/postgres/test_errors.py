"""Errors: what we say, what a server says, and what it may not say."""

import base64
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres.errors import (
    ADMIN_SHUTDOWN,
    PROTOCOL_VIOLATION,
    WITHHELD,
    PostgresError,
    ProtocolError,
    Report,
    parse_report,
)

ENDED = Report(ADMIN_SHUTDOWN, "an administrator ended the session", hint="Ask Alice.")


def test_a_report_is_written_as_the_protocol_says():
    data = ENDED.to_bytes()
    body = b"SFATAL\0VFATAL\0C57P01\0Man administrator ended the session\0HAsk Alice.\0\0"
    assert data == b"E" + (len(body) + 4).to_bytes(4) + body


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(TEXT.filter(bool), TEXT, TEXT, st.sampled_from(["FATAL", "ERROR", "NOTICE"]))
def test_what_is_written_is_read(message: str, detail: str, hint: str, severity: str):
    report = Report("42P01", message, detail, hint, severity)
    assert parse_report(report.to_bytes()[5:]) == report


@given(st.binary(max_size=200))
def test_nonsense_becomes_a_report_all_the_same(body: bytes):
    report = parse_report(body)
    assert len(report.sqlstate) == 5
    assert report.message
    assert report.to_bytes().startswith(b"E")


def test_what_would_break_a_log_or_a_terminal_is_replaced():
    report = parse_report(b"C42P01\0Mred\x1b[31m\r\x85\xe2\x80\xa8alert\0Dline\n\ttwo\0\0")
    assert report.message == "red\ufffd[31m\ufffd\ufffd\ufffdalert"
    assert report.detail == "line\n\ttwo"


def test_a_nul_in_our_words_does_not_end_a_field():
    assert parse_report(Report("28000", "a\0b").to_bytes()[5:]).message == "a\ufffdb"


@pytest.mark.parametrize("state", [b"", b"1234", b"123456", b"abcde", b"12 45"])
def test_a_state_that_is_none_becomes_one(state: bytes):
    assert parse_report(b"C" + state + b"\0Mno\0\0").sqlstate == PROTOCOL_VIOLATION


SECRET = 'o\'Hara\\ "p%ss" wörd'
FORMS = {
    "as it is": SECRET,
    "in a URL": f"postgres://app:{urllib.parse.quote(SECRET)}@db/x",
    "in a URL, strictly": urllib.parse.quote(SECRET, safe=""),
    "as a literal": SECRET.replace("'", "''"),
    "as an identifier": SECRET.replace('"', '""'),
    "escaped": SECRET.replace("\\", "\\\\").replace("'", "\\'"),
    "hexadecimal": "\\x" + SECRET.encode().hex(),
    "hexadecimal, upper case": SECRET.encode().hex().upper(),
    "base64": base64.b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("field", ["message", "detail", "hint"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_text_with_the_password_is_withheld_as_a_whole(form: str, field: str):
    texts = {"message": "no", field: f"the password {form} is wrong"}
    clean = Report("28P01", **texts).without(SECRET)
    assert clean == Report("28P01", WITHHELD)


def test_not_even_a_state_may_be_the_password():
    assert "ABCDE" not in str(Report("ABCDE", "no").without("ABCDE"))


def test_a_text_without_the_password_stays():
    assert ENDED.without(SECRET) is ENDED
    assert ENDED.without("") is ENDED


def test_long_texts_are_cut():
    assert len(Report("28000", "x" * 10**6).shortened().message) < 10_000


def test_an_error_of_the_protocol_is_an_error_for_the_client():
    with pytest.raises(PostgresError) as raised:
        raise ProtocolError("no", hint="perhaps")
    assert raised.value.report == Report(PROTOCOL_VIOLATION, "no", hint="perhaps")
    assert str(raised.value) == "no (08P01)"
