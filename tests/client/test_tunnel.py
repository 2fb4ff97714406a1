"""What a worker says is shown to people: it may be anybody's words."""

import json
import shlex

import pytest

from sdm.cli.connections import command
from sdm.client.tunnel import _refusal

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nLogged in.\u202e\x9b31m"


def test_a_worker_s_words_are_no_orders_to_a_terminal():
    body = json.dumps({"detail": HOSTILE * 1000, "reason": HOSTILE}).encode()
    failed = _refusal(403, body)
    assert str(failed).isprintable() and failed.reason.isprintable()
    assert len(str(failed)) <= 500
    assert "Logged in." in str(failed)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b"[" * 16_000, b'{"detail": null}', b'{"reason": "x"}', b"\xff\xfe"]
)
def test_whatever_else_comes_is_a_failure_in_words(body: bytes):
    assert str(_refusal(500, body))


@pytest.mark.parametrize("kind", ["postgres", "httpNoAuth", "rawTCP"])
def test_a_command_that_is_shown_to_be_copied_is_one_command(kind: str):
    """Whatever somebody has written as the path of a website, or the name of a database."""
    hostile = "/x;reboot #$(id)`id`' \" && y"
    shown = command({"address": "127.0.0.1:10001", "type": kind, "database": hostile, "path": hostile})
    # As the shell reads it.
    words = shlex.split(shown, comments=True)
    assert words[0] in ("psql", "curl", "nc")
    assert "reboot" not in words
    assert kind == "rawTCP" or words[-1].endswith(hostile)
