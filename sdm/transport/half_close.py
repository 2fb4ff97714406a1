"""TLS's "I have no more to say" by itself: the one thing of OpenSSL that a relay needs and `ssl` leaves out.

`SSLSocket.unwrap` also waits for the peer's, and takes data that is on its way for an error of the connection.
"""

import _ssl
import ctypes
import ssl

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


def send_close_notify(sock: ssl.SSLSocket) -> bool:
    """False when it has to be tried again, once there is room. The peer's data can still be read afterwards."""
    tls = _pointer(sock)
    _openssl.ERR_clear_error()
    # Called once it sends; twice it would wait, and read.
    result = _openssl.SSL_shutdown(tls)
    again = result < 0 and _openssl.SSL_get_error(tls, result) == _SSL_ERROR_WANT_WRITE
    _openssl.ERR_clear_error()
    if result < 0 and not again:
        raise BrokenPipeError("the connection is gone")
    return not again


def _pointer(sock: ssl.SSLSocket) -> int:
    """The SSL of `sock`: the second field of the object beneath, after the head that all objects have."""
    inner = sock._sslobj  # type: ignore[attr-defined]
    pointer = ctypes.c_void_p.from_address(id(inner) + _HEAD + _POINTER).value
    context = ctypes.c_void_p.from_address(id(inner.context) + _HEAD).value
    if pointer is None or _openssl.SSL_get_SSL_CTX(pointer) != context:
        raise RuntimeError("this Python keeps its TLS connections in another form")
    return pointer
