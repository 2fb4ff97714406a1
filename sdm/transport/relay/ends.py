"""One side of a session: a non-blocking socket, with or without TLS, and what it has not taken yet.

`receive` and `send` say how many bytes they moved; nothing is an answer too. OSError (`ssl.SSLError` is one) says that
the peer is lost.
"""

import fcntl
import socket
import ssl
import struct
import sys
import termios

from sdm.transport.half_close import Tls, send_close_notify

BLOCKED = -1
# What TLS puts into one record at most. A peer that fills less than this has probably no more for now.
_RECORD, _LARGE = 16 * 1024, 4 * 1024
_NOTHING = memoryview(b"")
# Closing resets the connection.
_RESET = struct.pack("ii", 1, 0)


class End:
    """Without TLS."""

    __slots__ = ("backlog", "descriptor", "heard_end", "mask", "said_end", "sock")

    # Bytes are there that no poll will announce.
    has_more = False
    # TLS has something to say before it can go on.
    wants_write = False

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.descriptor = sock.fileno()
        # What this peer has not taken yet. While there is some, the other one is not read.
        self.backlog = _NOTHING
        self.heard_end = False
        self.said_end = False
        # What the poll watches for.
        self.mask = -1

    def receive(self, buffer: memoryview) -> int:
        """How many bytes; 0 at the end, BLOCKED when there is nothing now."""
        try:
            return self.sock.recv_into(buffer)
        except BlockingIOError:
            return BLOCKED

    def send(self, data: memoryview) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def say_end(self) -> bool:
        """Nothing more will be sent, and the peer hears of it; False when it has to be tried again."""
        self.hang_up()
        return True

    def hang_up(self) -> None:
        """When everything is over: what comes may still be read, until this is closed."""
        self.sock.shutdown(socket.SHUT_WR)

    def break_off(self) -> None:
        """From now on closing it does not look like an end: what is missing would go unnoticed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    @property
    def is_taken(self) -> bool:
        """All that was sent has arrived over there. A reset would destroy the rest."""
        waiting = fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, bytes(4))
        return not int.from_bytes(waiting, sys.byteorder)

    def close(self) -> None:
        self.sock.close()


class TlsEnd(End):
    __slots__ = ("_over", "_read", "_tls", "_write", "has_more", "wants_write")

    def __init__(self, sock: socket.socket, tls: Tls) -> None:
        super().__init__(sock)
        # Not an `SSLSocket`, which takes a connection that was cut off for one that was ended.
        self._tls = tls
        self._read = self._tls.read
        self._write = self._tls.write
        self._over = False
        self.has_more = False
        self.wants_write = False

    def receive(self, buffer: memoryview) -> int:
        if self._over:
            self.has_more = False
            return 0
        filled: int = 0
        size = len(buffer)
        self.wants_write = False
        try:
            while True:
                count = self._read(size - filled, buffer[filled:] if filled else buffer)
                filled += count
                if count < _LARGE or filled == size:
                    break
        except ssl.SSLWantReadError:
            self.has_more = False
            return filled or BLOCKED
        except ssl.SSLZeroReturnError:
            count = 0  # the end, as `ssl` tells it to those who have said theirs
        except ssl.SSLWantWriteError:
            self.wants_write, self.has_more = True, False
            return filled or BLOCKED
        # The end may come without a FIN, and what is left of a record without another byte.
        self._over = not count
        self.has_more = self._over or (filled == size and bool(self._tls.pending()))
        return filled

    def send(self, data: memoryview) -> int:
        """A record at a time: OpenSSL wants what it could not write once more, and would want all of it."""
        sent: int = 0
        size = len(data)
        try:
            while sent < size:
                sent += self._write(data[sent : sent + _RECORD] if size > _RECORD else data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return sent
        return sent

    def say_end(self) -> bool:
        """The peer may go on sending: its bytes are read after this as before.

        Within TLS alone (RFC 8446, 6.1): balancers take the end of the connection for that of both directions.
        """
        return send_close_notify(self._tls)

    def break_off(self) -> None:
        """Whoever hears no end within TLS knows that there was none."""
