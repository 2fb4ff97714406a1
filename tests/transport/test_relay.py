"""The relay by itself, between sockets of this process."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdm.contract.endings import Ending
from sdm.transport.half_close import send_close_notify
from sdm.transport.relay.ends import End, TlsEnd
from sdm.transport.relay.handoff import Framer, HandOff, Opaque, Outcome, SessionOver
from sdm.transport.relay.loop import BUFFER, Relay
from sdm.transport.truncation import is_truncation
from tests.worker.control_plane import client_context, host_pair
from tests.worker.processes import read_all, until


class Watched(Opaque):
    """Notes what passes, and does what a test wants."""

    def __init__(self) -> None:
        self.client = b""
        self.server = b""
        self.refuse = b""
        self.words: bytes | None = b""

    def client_bytes(self, data: memoryview) -> None:
        if self.refuse and self.refuse in bytes(data):
            raise SessionOver(Ending.NOT_ALLOWED, "not this")
        self.client += data

    def server_bytes(self, data: memoryview) -> None:
        self.server += data

    def farewell(self, ending: Ending, message: str) -> bytes | None:
        return None if self.words is None else self.words + message.encode()


class Ends:
    """A client and a server of one relayed session."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.outcomes: list[Outcome] = []

    @property
    def outcome(self) -> Outcome:
        until(lambda: bool(self.outcomes), 5)
        return self.outcomes[0]


Join = Callable[..., Ends]


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay()
    relay.start()
    yield relay
    relay.stop()


@pytest.fixture(params=["tcp", "tls"])
def join(request: pytest.FixtureRequest, relay: Relay, tmp_path: Path) -> Iterator[Join]:
    opened: list[socket.socket] = []

    def one(framer: Framer | None = None, *, from_client: bytes = b"", from_upstream: bytes = b"") -> Ends:
        client, ours = connected()
        upstream, server = connected()
        opened.extend((client, server))
        if request.param == "tls":
            client, ours = shaken(client, ours, tmp_path)
            opened.append(client)
        for sock in (ours, upstream):
            sock.setblocking(False)
        ends = Ends(client, server)
        end = End(ours)
        if isinstance(ours, ssl.SSLSocket):
            end = TlsEnd(ours, ours._sslobj)  # type: ignore[attr-defined]
        handoff = HandOff(End(upstream), framer or Opaque(), from_client, from_upstream)
        relay.begin(f"session {len(opened)}", end, handoff, ends.outcomes.append)
        return ends

    yield one
    for sock in opened:
        sock.close()


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname(), timeout=10)
        other, _ = listening.accept()
    other.settimeout(10)
    return one, other


def shaken(
    client: socket.socket, server: socket.socket, directory: Path
) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*host_pair(directory))
    found: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: found.append(context.wrap_socket(server, server_side=True)))
    thread.start()
    # Otherwise it takes what was broken off for an end.
    wrapped = client_context().wrap_socket(client, suppress_ragged_eofs=False)
    thread.join()
    return wrapped, found[0]


def end_of(sock: socket.socket) -> None:
    """No more from this side; the other may go on."""
    if isinstance(sock, ssl.SSLSocket):
        assert send_close_notify(sock._sslobj)  # type: ignore[attr-defined]
        return
    sock.shutdown(socket.SHUT_WR)


def test_both_directions_are_counted_and_seen(join: Join):
    framer = Watched()
    ends = join(framer, from_client=b"early ", from_upstream=b"first ")
    assert ends.server.recv(100) == b"early "
    assert ends.client.recv(100) == b"first "
    ends.client.sendall(b"ask")
    assert ends.server.recv(100) == b"ask"
    ends.server.sendall(b"answer")
    assert ends.client.recv(100) == b"answer"
    end_of(ends.client)
    assert ends.server.recv(100) == b""
    end_of(ends.server)
    assert ends.outcome == Outcome(Ending.CLIENT_LEFT, Ending.CLIENT_LEFT.sentence, 9, 12)
    assert (framer.client, framer.server) == (b"early ask", b"first answer")


def test_each_direction_ends_by_itself(join: Join):
    ends = join()
    end_of(ends.server)
    assert ends.client.recv(100) == b""
    for _ in range(20):
        ends.client.sendall(b"still here")
        assert ends.server.recv(100) == b"still here"
    end_of(ends.client)
    assert ends.server.recv(100) == b""
    assert ends.outcome.ending is Ending.RESOURCE_LEFT


def test_with_tls_the_connection_ends_when_both_have(join: Join):
    """A balancer that passes TCP on closes both directions at the end of one."""
    ends = join()
    end_of(ends.server)
    assert ends.client.recv(100) == b""
    if isinstance(ends.client, ssl.SSLSocket):
        ends.client.setblocking(False)
        with pytest.raises(BlockingIOError):
            socket.socket.recv(ends.client, 100)
        ends.client.setblocking(True)
    end_of(ends.client)
    assert socket.socket.recv(ends.client, 100) == b""
    assert ends.outcome.ending is Ending.RESOURCE_LEFT


def test_bytes_before_an_end_arrive_also_at_a_slow_reader(join: Join):
    ends = join()
    data = bytes(range(256)) * 40_000

    def send() -> None:
        ends.server.sendall(data)
        ends.server.close()

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.5)
    assert read_all(ends.client) == data
    thread.join(10)
    end_of(ends.client)
    assert ends.outcome.received == len(data)


def test_who_does_not_read_stops_the_other_and_nobody_else(join: Join):
    stalled, lively = join(), join()
    stalled.server.settimeout(1)
    sent = 0
    with pytest.raises(TimeoutError):
        while True:
            sent += stalled.server.send(bytes(BUFFER))
    # What is not in the kernel's buffers is one buffer of ours at most.
    assert sent < 16 << 20
    lively.client.sendall(b"ping")
    assert lively.server.recv(100) == b"ping"


def test_a_cut_says_why_and_closes(join: Join, relay: Relay):
    framer = Watched()
    framer.words = b"over: "
    ends = join(framer)
    ends.client.sendall(b"x")
    assert ends.server.recv(1) == b"x"
    relay.cut(session_of(relay), Ending.SUSPENDED, "suspended")
    assert read_all(ends.client) == b"over: suspended"
    assert ends.server.recv(1) == b""
    assert ends.outcome.ending is Ending.SUSPENDED


def test_a_cut_waits_for_the_end_of_what_is_being_said(join: Join, relay: Relay):
    class UntilMessage(Watched):
        def server_bytes(self, data: memoryview) -> None:
            self.words = b"" if bytes(data) == b"message " else None

    ends = join(UntilMessage())
    ends.server.sendall(b"half a ")
    assert ends.client.recv(100) == b"half a "
    relay.cut(session_of(relay), Ending.SUSPENDED, "why")
    ends.server.sendall(b"message ")
    assert read_all(ends.client) == b"message why"
    assert ends.outcome.ending is Ending.SUSPENDED


def test_a_cut_does_not_wait_for_ever(join: Join, relay: Relay):
    framer = Watched()
    framer.words = None
    ends = join(framer)
    ends.client.sendall(b"x")
    assert ends.server.recv(1) == b"x"
    began = time.monotonic()
    relay.cut(session_of(relay), Ending.SUSPENDED, "why")
    assert ends.outcome.ending is Ending.SUSPENDED
    assert time.monotonic() - began < 2


def test_a_resource_that_breaks_off_does_not_look_like_one_that_ends(join: Join):
    ends = join()
    ends.server.sendall(b"half a rep")
    reset(ends.server)
    assert is_broken_off(ends.client, after=b"half a rep")
    assert ends.outcome.ending is Ending.RESOURCE_LOST


def test_nor_does_it_for_a_client_that_has_ended(join: Join):
    ends = join()
    end_of(ends.client)
    assert ends.server.recv(100) == b""
    ends.server.sendall(b"half a rep")
    reset(ends.server)
    assert is_broken_off(ends.client, after=b"half a rep")


def test_a_slow_reader_has_all_that_came_before_it_is_broken_off(join: Join):
    ends = join()
    data = bytes(range(256)) * 4_000

    def send() -> None:
        ends.server.sendall(data)
        time.sleep(0.3)
        reset(ends.server)

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(1)
    assert is_broken_off(ends.client, after=data)
    thread.join(10)


def test_a_resource_that_ends_and_then_breaks_off_has_ended(join: Join):
    ends = join()
    ends.server.sendall(b"that is all")
    ends.server.shutdown(socket.SHUT_WR)
    assert read_all(ends.client) == b"that is all"
    reset(ends.server)
    ends.client.sendall(b"more")
    assert ends.outcome.ending is Ending.RESOURCE_LEFT
    assert read_all(ends.client) == b""


def test_a_cut_without_words_does_not_look_like_an_end(join: Join, relay: Relay):
    ends = join(Opaque())
    ends.client.sendall(b"x")
    assert ends.server.recv(1) == b"x"
    relay.cut(session_of(relay), Ending.SUSPENDED, "suspended")
    assert is_broken_off(ends.client)


def test_a_resource_that_breaks_off_is_put_in_words_where_there_are_some(join: Join):
    framer = Watched()
    framer.words = b"lost: "
    ends = join(framer)
    reset(ends.server)
    assert read_all(ends.client) == b"lost: " + Ending.RESOURCE_LOST.sentence.encode()


def test_who_is_broken_off_and_takes_nothing_is_not_waited_for(join: Join, relay: Relay):
    ends = join()
    ends.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sent = 0
    ends.server.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            sent += ends.server.send(bytes(BUFFER))
    relay.cut(session_of(relay), Ending.SUSPENDED, "suspended")
    assert ends.outcome.ending is Ending.SUSPENDED
    until(lambda: not relay._lingering and not relay._by_key, 15)


def test_what_a_framer_refuses_goes_no_further(join: Join):
    framer = Watched()
    framer.refuse = b"evil"
    ends = join(framer)
    ends.client.sendall(b"good")
    assert ends.server.recv(100) == b"good"
    ends.client.sendall(b"evil")
    assert read_all(ends.client) == b"not this"
    assert ends.server.recv(100) == b""
    assert ends.outcome.ending is Ending.NOT_ALLOWED


def test_a_framer_that_fails_ends_its_session_alone(join: Join, caplog: pytest.LogCaptureFixture):
    class Failing(Opaque):
        def client_bytes(self, data: memoryview) -> None:
            raise ZeroDivisionError

    failing, other = join(Failing()), join()
    failing.client.sendall(b"x")
    assert failing.outcome.ending is Ending.PROTOCOL
    other.client.sendall(b"ping")
    assert other.server.recv(100) == b"ping"
    assert "by a fault of this worker's" in caplog.text


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_broken_off(sock: socket.socket, *, after: bytes = b"") -> bool:
    """Whether it ends like that, with all that came before."""
    found = b""
    try:
        while data := sock.recv(1 << 16):
            found += data
    except ConnectionResetError:
        return found == after
    except ssl.SSLError as error:
        return is_truncation(error) and found == after
    return False


def session_of(relay: Relay) -> str:
    """The key of the only session."""
    (key,) = relay._by_key
    return key


class Slow(Watched):
    """Takes one piece, and nothing more until `resumes`."""

    def __init__(self) -> None:
        super().__init__()
        self.resumes = False

    @property
    def full(self) -> bool:  # type: ignore[override]  # there it never is
        return bool(self.client) and not self.resumes


def test_a_client_that_is_held_up_goes_on_though_nothing_else_happens(join: Join):
    framer = Slow()
    ends = join(framer)
    ends.client.sendall(b"one")
    assert ends.server.recv(100) == b"one"
    ends.client.sendall(b"two")
    ends.server.settimeout(0.5)
    with pytest.raises(TimeoutError):
        ends.server.recv(100)
    framer.resumes = True
    ends.server.settimeout(10)
    assert ends.server.recv(100) == b"two"
