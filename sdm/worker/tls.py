"""TLS towards clients, through the standard library's `ssl`, and what it leaves out of OpenSSL.

A client is *asked* for a certificate and its certificate is not judged during the handshake: a refused one would
show as an opaque alert, and a health check with some certificate of its own would fail. Who wants to know whose
certificate it is asks `sdm.pki.chain` afterwards, which also answers for resumed sessions.

Ticket keys are given, so that a session begun in one process is resumed in another, and by the next certificate's
context. A session that is resumed is not renewed: whoever resumes one for two hours proves once more whose key it is.
Neither would renewing be cheap, for a ticket holds the client's certificate, and OpenSSL takes it apart to write one.
"""

import _ssl
import ctypes
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from sdm.transport.truncation import tell_truncation

# Name, HMAC and AES key: what SSL_CTX_set_tlsext_ticket_keys takes in OpenSSL 3.
TICKET_KEYS_LENGTH = 80
_SSL_CTRL_SET_TLSEXT_TICKET_KEYS = 59
_SSL_CTRL_SET_SESS_CACHE_MODE = 44
_SSL_SESS_CACHE_OFF = 0

# The OpenSSL that `ssl` is linked with, found through its extension module.
_openssl = ctypes.CDLL(getattr(_ssl, "__file__", None))
_VerifyCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_openssl.SSL_CTX_set_verify.argtypes = (ctypes.c_void_p, ctypes.c_int, _VerifyCallback)
_openssl.SSL_CTX_set_verify.restype = None
_openssl.SSL_CTX_get_verify_mode.argtypes = (ctypes.c_void_p,)
_openssl.SSL_CTX_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
_openssl.SSL_CTX_ctrl.restype = ctypes.c_long
_TicketCallback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p),
)
_openssl.SSL_CTX_set_session_ticket_cb.argtypes = (
    *(ctypes.c_void_p, ctypes.c_void_p, _TicketCallback, ctypes.c_void_p),
)

_SSL_VERIFY_PEER = 1
# How OpenSSL found a ticket, and what it is told to do with it.
_SSL_TICKET_SUCCESS, _SSL_TICKET_SUCCESS_RENEW = 5, 6
_SSL_TICKET_RETURN_IGNORE_RENEW, _SSL_TICKET_RETURN_USE = 2, 3

# A record's type, version and length; and the type that a client begins with.
_RECORD_HEAD = 5
_HANDSHAKE = 22


class BadPair(Exception):
    """A certificate and a key that do not serve together; the message says why."""


def _use_as_it_is(ssl: int, session: int, name: int, length: int, found: int, argument: int) -> int:
    """A good ticket is used and not replaced; instead of one that is none a new one is given, as without this."""
    if found in (_SSL_TICKET_SUCCESS, _SSL_TICKET_SUCCESS_RENEW):
        return _SSL_TICKET_RETURN_USE
    return _SSL_TICKET_RETURN_IGNORE_RENEW


# Kept here: OpenSSL calls them as long as there are contexts.
_judge_later = _VerifyCallback(lambda preverified, store_context: 1)
_do_not_renew = _TicketCallback(_use_as_it_is)


def server_context(
    chain: bytes, key: bytes, *, ticket_keys: bytes, ask_for_certificate: bool
) -> ssl.SSLContext:
    """A context with this pair; BadPair when it cannot be one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    tell_truncation(context)
    context.num_tickets = 1  # the default of two costs twice the time and serves nobody here
    _load(context, chain, key)
    pointer = _pointer(context)
    if not _openssl.SSL_CTX_ctrl(pointer, _SSL_CTRL_SET_TLSEXT_TICKET_KEYS, len(ticket_keys), ticket_keys):
        raise ValueError("OpenSSL does not take these ticket keys")
    # A client that takes no tickets would have its session kept here, in one process of several, for an hour.
    _openssl.SSL_CTX_ctrl(pointer, _SSL_CTRL_SET_SESS_CACHE_MODE, _SSL_SESS_CACHE_OFF, None)
    _openssl.SSL_CTX_set_session_ticket_cb(pointer, None, _do_not_renew, None)
    if ask_for_certificate:
        _openssl.SSL_CTX_set_verify(pointer, _SSL_VERIFY_PEER, _judge_later)
    return context


def record_length(head: bytes) -> int:
    """Of the record that begins with `head`, for which five bytes are enough; what is none has no more than that."""
    if len(head) < _RECORD_HEAD or head[0] != _HANDSHAKE:
        return len(head)
    return _RECORD_HEAD + int.from_bytes(head[3:_RECORD_HEAD])


def new_ticket_keys() -> bytes:
    return os.urandom(TICKET_KEYS_LENGTH)


def check_pair(chain: bytes, key: bytes) -> None:
    """BadPair unless these serve together."""
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), chain, key)


def _load(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    with _as_file(chain) as chain_path, _as_file(key) as key_path:
        try:
            # An encrypted key would make OpenSSL ask on the terminal, were there no password.
            context.load_cert_chain(chain_path, key_path, password="")
        except ssl.SSLError as error:
            raise BadPair(
                _REASONS.get(error.reason or "", "they are not a certificate and its key in PEM")
            ) from None
        except (OSError, ValueError):
            raise BadPair("they are not a certificate and its key in PEM") from None


_REASONS = {
    "KEY_VALUES_MISMATCH": "the key is not the certificate's",
    "KEY_TYPE_MISMATCH": "the key is not the certificate's",
    "BAD_DECRYPT": "the key is encrypted",
    "EE_KEY_TOO_SMALL": "the certificate's key is too small",
}


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path to read `content` from, in memory: `ssl` takes certificates from files alone."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _pointer(context: ssl.SSLContext) -> ctypes.c_void_p:
    """The SSL_CTX of `context`: the first field of the object, after the head that all objects have."""
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    if _openssl.SSL_CTX_get_verify_mode(pointer) != int(context.verify_mode):
        raise RuntimeError("this Python keeps its TLS contexts in another form")
    return pointer
