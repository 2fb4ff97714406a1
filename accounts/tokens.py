"""The secret part of one-time links: random, kept as a hash, and hidden from the log."""

import hashlib
import logging
import re
import secrets

# Whatever follows one of these in a path is a secret, or was meant as one.
_LINK = re.compile(r"/(setup|invitation|new-password)/[^\s/'\"]+")


def new_token() -> str:
    """256 random bits, so that a plain hash is enough to keep them."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()


class HideTokens(logging.Filter):
    """Takes tokens out of log lines: Django logs the path of what it refuses, such as a wrong host name."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _LINK.sub(r"/\1/…", record.getMessage()), ()
        # The JSON formatter would write the request as well, path and all.
        record.__dict__.pop("request", None)
        return True
