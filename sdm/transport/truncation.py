"""A TLS connection that breaks off, told from one that ends: what is missing would go unnoticed (RFC 8446, 6.1)."""

import ssl

_CUT_OFF = "UNEXPECTED_EOF_WHILE_READING"


def tell_truncation(context: ssl.SSLContext) -> None:
    """Python before 3.11.4 has OpenSSL 3 take the one for the other, unless it is told not to."""
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF


def is_truncation(error: ssl.SSLError) -> bool:
    """Before 3.11.4 it is no SSLEOFError either."""
    return isinstance(error, ssl.SSLEOFError) or error.reason == _CUT_OFF
