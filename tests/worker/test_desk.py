"""The desk in the moments at which something changes: nobody gets in by an answer from before, and nobody is missed."""

import asyncio
import base64
import datetime as dt
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.refusals import ControlError
from sdm.worker.desk import server
from sdm.worker.desk.client import DeskClient
from sdm.worker.desk.leases import Leases
from sdm.worker.desk.messages import MAX_LINE, Ask, Cut, Granted, Hello, Live, Message, Until, decode, encode
from sdm.worker.desk.place import Place
from sdm.worker.desk.server import Desk

SESSION = "s-0123456789abcdef"
PATIENCE = 10.0


def ask(session_id: str = SESSION, proved: str = "") -> Ask:
    return Ask(session_id, "a-1", "rs-1", "thumb", "ticket", "127.0.0.1", proved)


def lease(name: str = "") -> pb.GetLeaseResponse:
    response = pb.GetLeaseResponse(target=pb.Target(name=name))
    response.good_until.FromDatetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=50))
    return response


class Plane:
    """A control plane that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[pb.GetLeaseRequest, asyncio.Future[pb.GetLeaseResponse]]] = []
        self.checks: list[list[str]] = []
        self.verdicts: Callable[[str], pb.SessionVerdict | None] = lambda session_id: pb.SessionVerdict(
            session_id=session_id, may_go_on=True
        )

    async def get_lease(self, request: pb.GetLeaseRequest) -> pb.GetLeaseResponse:
        answer: asyncio.Future[pb.GetLeaseResponse] = asyncio.get_running_loop().create_future()
        self.asked.append((request, answer))
        return await answer

    async def check_sessions(self, request: pb.CheckSessionsRequest) -> pb.CheckSessionsResponse:
        ids = [session.session_id for session in request.sessions]
        self.checks.append(ids)
        found = [verdict for each in ids if (verdict := self.verdicts(each)) is not None]
        return pb.CheckSessionsResponse(verdicts=found)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # it may be about anything
            await asyncio.sleep(0.005)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENCE):
            await scene()

    asyncio.run(bounded())


# --- Leases ---


def test_an_answer_from_before_a_change_serves_nobody_who_asks_after_it():
    """It was decided when the access was still there, and arrives when it is not any more."""

    async def scene() -> None:
        plane = Plane()
        leases = Leases(plane.get_lease)
        early = asyncio.create_task(leases.get(ask()))
        await until(lambda: len(plane.asked) == 1)
        leases.forget()
        late = asyncio.create_task(leases.get(ask("s-1111111111111111")))
        await until(lambda: len(plane.asked) == 2)
        plane.asked[0][1].set_result(lease("before"))
        await asyncio.sleep(0.05)
        assert not early.done() and not late.done()
        plane.asked[1][1].set_result(lease("after"))
        assert {(await early).target.name, (await late).target.name} == {"after"}
        assert len(plane.asked) == 2

    run(scene)


def test_a_hundred_at_once_are_one_question_and_a_refusal_is_not_kept():
    async def scene() -> None:
        plane = Plane()
        leases = Leases(plane.get_lease)
        many = [asyncio.create_task(leases.get(ask(f"s-{n:016x}"))) for n in range(100)]
        await until(lambda: plane.asked)
        plane.asked[0][1].set_exception(ControlError(Reason.NO_ACCESS, "No."))
        assert all(
            isinstance(each, ControlError) for each in await asyncio.gather(*many, return_exceptions=True)
        )
        again = asyncio.create_task(leases.get(ask()))
        await until(lambda: len(plane.asked) == 2)
        plane.asked[1][1].set_result(lease())
        await again

    run(scene)


def test_a_lease_is_kept_no_longer_than_a_minute_and_not_beyond_the_access():
    async def scene() -> None:
        plane = Plane()
        leases = Leases(plane.get_lease)
        over = lease()
        over.good_until.FromDatetime(dt.datetime.now(dt.UTC) + dt.timedelta(days=365))
        over.ends_at.FromDatetime(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
        for number in (1, 2):
            asking = asyncio.create_task(leases.get(ask()))
            await until(lambda number=number: len(plane.asked) == number)  # type: ignore[misc]
            plane.asked[-1][1].set_result(over)
            await asking

    run(scene)


def test_a_proof_that_was_used_is_refused_before_anybody_is_asked():
    async def scene() -> None:
        plane = Plane()
        leases = Leases(plane.get_lease)
        first = asyncio.create_task(leases.get(ask(proved="p")))
        await until(lambda: plane.asked)
        with pytest.raises(ControlError, match="made before"):
            await leases.get(ask(proved="p"))
        plane.asked[0][1].set_result(lease())
        await first
        assert len(plane.asked) == 1

    run(scene)


def test_proofs_are_remembered_up_to_a_number_and_then_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch):
    """To forget one would let somebody use it again."""
    monkeypatch.setattr("sdm.worker.desk.leases._MOST_PROOFS", 3)

    async def scene() -> None:
        leases = Leases(Plane().get_lease)
        asking = [asyncio.create_task(leases.get(ask(proved=str(n)))) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ControlError) as refused:
            await leases.get(ask(proved="one more"))
        assert refused.value.reason is Reason.TOO_MANY
        for task in asking:
            task.cancel()

    run(scene)


# --- In the link ---


class Room:
    """A desk with its work, and a front that is at it."""

    def __init__(self, desk: Desk, place: Place, plane: Plane) -> None:
        self.desk = desk
        self.place = place
        self.plane = plane
        self.heard: list[Message] = []

    async def front(self) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(sock=self.place.where.connect(), limit=MAX_LINE)

        async def listen() -> None:
            while line := await reader.readline():
                self.heard.append(decode(line))

        self._listening = asyncio.create_task(listen())
        writer.write(encode(Hello(self.place.where.word)))
        return writer


def at_the_desk(scene: Callable[[Room], Awaitable[None]], *, grace: float = 3600.0) -> None:
    async def whole() -> None:
        plane, place = Plane(), Place.make()
        desk = Desk(plane, place, offline_grace=grace, share=10)
        serving = await desk.serve()
        working = asyncio.create_task(desk.work())
        try:
            await scene(Room(desk, place, plane))
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            serving.close()

    run(whole)


def test_a_lease_from_before_the_control_plane_was_away_is_not_used_after_it():
    """What changed meanwhile nobody could say."""

    async def scene(room: Room) -> None:
        room.desk.connected(True)
        front = await room.front()
        front.write(encode(ask()))
        await until(lambda: room.plane.asked)
        room.plane.asked[0][1].set_result(lease("before"))
        await until(lambda: room.heard)
        room.desk.connected(False)
        front.write(encode(ask("s-1111111111111111")))
        await until(lambda: len(room.heard) == 2)
        assert len(room.plane.asked) == 1
        room.desk.connected(True)
        front.write(encode(ask("s-2222222222222222")))
        await until(lambda: len(room.plane.asked) == 2)
        front.close()

    at_the_desk(scene)


def test_a_session_of_which_nothing_is_said_is_asked_about_again():
    async def scene(room: Room) -> None:
        silent = {"s-1111111111111111"}
        room.plane.verdicts = lambda session_id: (
            None
            if session_id in silent
            else pb.SessionVerdict(session_id=session_id, may_go_on=False, reason="suspended", message="No.")
        )
        front = await room.front()
        for session_id in (SESSION, *silent):
            front.write(encode(Live(session_id, "a-1", "rs-1", "thumb")))
        await until(lambda: len(room.desk.session_ids) == 2)
        room.desk.connected(True)
        await until(lambda: Cut(SESSION, "suspended", "No.") in room.heard)
        silent.clear()
        await until(lambda: Cut("s-1111111111111111", "suspended", "No.") in room.heard)
        front.close()

    at_the_desk(scene)


def test_a_link_that_comes_and_goes_does_not_let_sessions_go_on_for_ever():
    """Somebody on the wire lets it connect, and nothing be asked: the grace is over all the same."""

    async def scene(room: Room) -> None:
        async def fail(request: pb.CheckSessionsRequest) -> pb.CheckSessionsResponse:
            raise ControlError(Reason.UNAVAILABLE, "cut off")

        front = await room.front()
        room.desk.connected(True)
        front.write(encode(Live(SESSION, "a-1", "rs-1", "thumb")))
        await until(lambda: room.plane.checks)
        assert room.desk.seconds_left == 1.5
        room.plane.check_sessions = fail  # type: ignore[method-assign]
        while not any(isinstance(each, Cut) for each in room.heard):
            room.desk.connected(False)
            room.desk.connected(True)
            await asyncio.sleep(0.05)
        assert Cut(SESSION, Ending.OFFLINE, Ending.OFFLINE.sentence) in room.heard
        front.close()

    at_the_desk(scene, grace=1.5)


def test_a_front_that_is_gone_leaves_no_session_behind():
    """Not even one for which a lease comes when it is gone."""

    async def scene(room: Room) -> None:
        room.desk.connected(True)
        front = await room.front()
        front.write(encode(Live("s-1111111111111111", "a-1", "rs-1", "thumb")) + encode(ask()))
        await until(lambda: room.plane.asked and room.desk.session_ids)
        front.close()
        await until(lambda: not room.desk.session_ids)
        room.plane.asked[0][1].set_result(lease())
        await asyncio.sleep(0.05)
        assert room.desk.session_ids == []

    at_the_desk(scene)


@pytest.mark.parametrize(
    "line",
    [
        b'{"is": "Hello", "word": "guess"}\n',
        b'{"is": "Hello", "word": 5}\n',
        b'{"is": "Hello", "word": null}\n',
        b'{"is": "Hello", "word": "\\udc80"}\n',
        b'{"is": "Live", "session_id": "s", "account_id": "", "resource_id": "", "thumbprint": ""}\n',
        b'{"is": "Ask"}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (2 * MAX_LINE),
        b"\xff\xfe\n",
        b"\n",
    ],
    ids=["guess", "number", "null", "surrogate", "unasked", "fields", "nested", "long", "bytes", "empty"],
)
def test_who_does_not_know_the_word_hears_nothing(line: bytes, caplog: pytest.LogCaptureFixture):
    async def scene(room: Room) -> None:
        room.desk.connected(True)
        reader, writer = await asyncio.open_connection(sock=room.place.where.connect())
        writer.write(line)
        writer.write(encode(ask()))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        assert not room.plane.asked
        front = await room.front()  # and whoever knows it is served as before
        front.write(encode(ask()))
        await until(lambda: room.plane.asked)
        front.close()

    at_the_desk(scene)
    assert room_word_is_nowhere(caplog.text)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def room_word_is_nowhere(text: str) -> bool:
    return "word=" not in text


def test_another_user_of_this_machine_is_not_even_listened_to(monkeypatch: pytest.MonkeyPatch):
    """Neither with the word, nor with a line that never ends: nothing of it is read."""
    monkeypatch.setattr(server, "is_ours", lambda sock: False)

    async def scene(room: Room) -> None:
        room.desk.connected(True)
        reader, writer = await asyncio.open_connection(sock=room.place.where.connect())
        # It says nothing, and is turned away at once: what it would say is of no interest.
        async with asyncio.timeout(server._HELLO_TIMEOUT / 2):
            assert await reader.read() == b""
        writer.close()

    at_the_desk(scene)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to be somebody else")
def test_a_process_of_another_user_is_turned_away(tmp_path: Path):
    async def scene(room: Room) -> None:
        where, word = room.place.where.name, room.place.where.word
        program = (
            "import os, socket, sys\n"
            "os.setuid(65534)\n"
            "sock = socket.socket(socket.AF_UNIX)\n"
            f"sock.connect({where!r})\n"
            "sock.settimeout(5)\n"
            "try:\n"
            f"    sock.sendall({encode(Hello(word))!r} + {encode(ask())!r})\n"
            "    found = sock.recv(100)\n"
            "except ConnectionError:\n"
            "    found = b''\n"
            "sys.exit(len(found))\n"
        )
        room.desk.connected(True)
        process = await asyncio.create_subprocess_exec("/usr/bin/env", "python3", "-c", program)
        assert await process.wait() == 0
        assert not room.plane.asked

    at_the_desk(scene)


# --- In a front ---


def test_what_is_said_right_behind_a_lease_is_about_a_session_that_is_there():
    """All in one piece: the lease, an end for it, and a cut. None of them may come before who waits for the lease."""

    async def scene() -> None:
        place = Place.make()
        there: set[str] = set()
        heard: list[tuple[str, bool]] = []
        desk = DeskClient(
            place.where,
            live=lambda: [],
            cut=lambda cut: heard.append(("cut", cut.session_id in there)),
            until=lambda until: heard.append(("until", until.session_id in there)),
        )
        staying = asyncio.create_task(desk.stay())

        async def open_one() -> None:
            await desk.lease(ask())
            there.add(SESSION)

        opening = asyncio.create_task(open_one())
        loop = asyncio.get_running_loop()
        sock, _ = await loop.sock_accept(place.sock)
        sock.setblocking(False)
        while b'"Ask"' not in await loop.sock_recv(sock, 1 << 16):
            pass
        granted = Granted(SESSION, base64.b64encode(lease().SerializeToString()).decode())
        ends = Until(SESSION, 1.0)
        await loop.sock_sendall(
            sock, encode(granted) + encode(ends) + encode(Cut(SESSION, "suspended", "No."))
        )
        await opening
        await until(lambda: len(heard) == 2)
        assert heard == [("until", True), ("cut", True)]
        staying.cancel()
        sock.close()
        place.close()

    run(scene)


def test_no_secret_is_in_what_a_message_looks_like():
    shown = repr([ask(), Granted(SESSION, "lease"), Hello("word")])
    assert "ticket" not in shown.replace("ticket=", "") and "'lease'" not in shown and "'word'" not in shown
    assert json.loads(encode(Hello("word")))["word"] == "word"
