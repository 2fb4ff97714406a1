"""TLS's "I have no more to say" by itself: the one thing of OpenSSL that a relay needs and `ssl` leaves out.

`SSLSocket.unwrap` also waits for the peer's, and takes data that is on its way for an error of the connection.
"""

import _ssl
import ctypes
from typing import Any

# The OpenSSL that `ssl` is linked with, found through its extension module.
_openssl = ctypes.CDLL(getattr(_ssl, "__file__", None))
_openssl.SSL_shutdown.argtypes = (ctypes.c_void_p,)
_openssl.SSL_shutdown.restype = ctypes.c_int
_openssl.SSL_get_SSL_CTX.argtypes = (ctypes.c_void_p,)
_openssl.SSL_get_SSL_CTX.restype = ctypes.c_void_p
_openssl.SSL_get_error.argtypes = (ctypes.c_void_p, ctypes.c_int)
_openssl.SSL_get_error.restype = ctypes.c_int
_openssl.ERR_clear_error.argtypes = ()
_openssl.ERR_clear_error.restype = None

_SSL_ERROR_WANT_WRITE = 3
_HEAD = object.__basicsize__
_POINTER = ctypes.sizeof(ctypes.c_void_p)


# OpenSSL's half of an `ssl.SSLSocket`, which that has as its `_sslobj`.
Tls = Any


def send_close_notify(tls: Tls) -> bool:
    """False when it has to be tried again, once there is room. The peer's data can still be read afterwards."""
    pointer = _pointer(tls)
    _openssl.ERR_clear_error()
    # Called once it sends; twice it would wait, and read.
    result = _openssl.SSL_shutdown(pointer)
    again = result < 0 and _openssl.SSL_get_error(pointer, result) == _SSL_ERROR_WANT_WRITE
    _openssl.ERR_clear_error()
    if result < 0 and not again:
        raise BrokenPipeError("the connection is gone")
    return not again


def _pointer(tls: Tls) -> int:
    """The SSL of `tls`: the second field of the object, after the head that all objects have."""
    pointer = ctypes.c_void_p.from_address(id(tls) + _HEAD + _POINTER).value
    context = ctypes.c_void_p.from_address(id(tls.context) + _HEAD).value
    if pointer is None or _openssl.SSL_get_SSL_CTX(pointer) != context:
        raise RuntimeError("this Python keeps its TLS connections in another form")
    return pointer
