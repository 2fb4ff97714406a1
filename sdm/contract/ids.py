"""Ids: a prefix that says what it names, and 16 random hexadecimal digits, as in `n-5d41402abc4b2a76`."""

import secrets

# The width of every id column: the longest prefix, the hyphen and the digits, with room to spare.
MAX_LENGTH = 32


def new_id(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(8)}"
