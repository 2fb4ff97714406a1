"""Streams: who waits is woken, whatever happened to the socket, its number or the waiting before."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest
import uvloop

from sdm.transport.streams import Stream

# More than the kernel takes on both sides together.
LARGE = b"x" * 20_000_000
Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    async def limited(test: Callable[[], Awaitable[None]]) -> None:
        async with asyncio.timeout(20):
            await test()

    def to_its_end(test: Callable[[], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(limited(test))

    return to_its_end


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """One to make a stream of, and its peer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname(), timeout=10)
        ours, _ = listening.accept()
    ours.setblocking(False)
    peer.setblocking(False)
    with peer, ours:
        yield ours, peer


async def waiting(work: Awaitable[bytes]) -> "asyncio.Future[bytes]":
    """`work`, begun, and as far as it comes by itself."""
    found = asyncio.ensure_future(work)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not found.done()
    return found


def test_who_waits_is_woken_each_time(run: Run):
    async def test() -> None:
        with connected() as (sock, peer):
            stream = Stream(sock)
            for word in (b"one", b"two"):
                received = await waiting(stream.receive(100))
                peer.send(word)
                assert await received == word
            received = await waiting(stream.receive(100))
            peer.shutdown(socket.SHUT_WR)
            assert await received == b""

    run(test)


def test_what_came_while_nobody_waited_is_there_for_the_next(run: Run):
    async def test() -> None:
        with connected() as (sock, peer):
            stream = Stream(sock)
            given_up = await waiting(stream.receive(100))
            given_up.cancel()
            peer.send(b"word")
            await asyncio.sleep(0.05)
            assert await stream.receive(2) == b"wo"
            assert await stream.receive(100) == b"rd"

    run(test)


def test_one_waits_to_read_while_another_waits_to_write(run: Run):
    async def test() -> None:
        with connected() as (sock, peer):
            stream = Stream(sock)
            received = await waiting(stream.receive(100))
            sending = asyncio.create_task(stream.send(LARGE))
            await asyncio.sleep(0)
            peer.send(b"word")
            assert await received == b"word"
            assert not sending.done()
            other, left = Stream(peer), len(LARGE)
            while left:
                left -= len(await other.receive(1 << 20))
            await sending

    run(test)


def test_a_peer_that_is_gone_wakes_both(run: Run):
    async def test() -> None:
        with connected() as (sock, peer):
            stream = Stream(sock)
            sending = asyncio.create_task(stream.send(LARGE))
            received = await waiting(stream.receive(100))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            with pytest.raises(ConnectionError):
                await sending
            # The kernel tells one of them, and the other that nothing more will come.
            with contextlib.suppress(ConnectionError):
                assert await received == b""

    run(test)


def test_a_number_that_is_used_again_is_another_socket(run: Run):
    """Whether or not the stream before was closed."""

    async def test() -> None:
        for closes in (True, False):
            with connected() as (sock, _), connected() as (other, peer):
                number, stream = sock.fileno(), Stream(sock)
                (await waiting(stream.receive(100))).cancel()
                if closes:
                    stream.close()
                sock.close()
                os.dup2(other.fileno(), number)
                other.close()
                with socket.socket(fileno=number) as again:
                    received = await waiting(Stream(again).receive(100))
                    peer.send(b"word")
                    assert await received == b"word"

    run(test)


def test_a_socket_that_was_given_away_is_watched_by_its_next_owner_alone(run: Run):
    async def test() -> None:
        with connected() as (sock, peer):
            stream = Stream(sock)
            received = await waiting(stream.receive(100))
            received.cancel()
            given = stream.detach()
            stream.close()
            received = await waiting(Stream(given.sock).receive(100))
            peer.send(b"word")
            assert await received == b"word"

    run(test)


def test_the_first_bytes_are_waited_for_and_left_there(run: Run):
    async def test() -> None:
        with connected() as (sock, peer):
            stream = Stream(sock)
            for arrived in (b"a", b"bcd"):
                looked = await waiting(stream.arrived(5))
                peer.send(arrived)
                await asyncio.sleep(0.02)
                assert not looked.done()
                looked.cancel()
            looked = await waiting(stream.arrived(5))
            peer.send(b"ef")
            assert (await looked)[:5] == b"abcde"
            assert await stream.receive(100) == b"abcdef"
            # A byte is enough again.
            received = await waiting(stream.receive(100))
            peer.send(b"x")
            assert await received == b"x"

    run(test)


@pytest.mark.parametrize("said", [b"", b"abc"])
def test_fewer_bytes_than_wanted_are_told_at_the_end(run: Run, said: bytes):
    async def test() -> None:
        for waits in (True, False):
            with connected() as (sock, peer):
                stream = Stream(sock)
                looked = await waiting(stream.arrived(5)) if waits else None
                peer.send(said)
                peer.shutdown(socket.SHUT_WR)
                await asyncio.sleep(0.02)
                assert await (looked or stream.arrived(5)) == said
                # The news of the end has been taken.
                assert await stream.arrived(10) == said
                assert await stream.receive(100) == said

    run(test)
