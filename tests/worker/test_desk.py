"""The desk in the moments at which something changes: nobody gets in by an answer from before, and nobody is missed."""

import asyncio
import base64
import datetime as dt
import socket

import pytest

from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.refusals import ControlError
from sdm.worker.desk.client import DeskClient
from sdm.worker.desk.leases import Leases
from sdm.worker.desk.messages import Begun, Cut, Ended, Granted, Hello, Live, Until, encode
from sdm.worker.desk.place import Place
from tests.worker.desk import SESSION, Plane, Room, ask, at_the_desk, lease, run, until

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


def test_of_a_front_that_is_gone_the_sessions_that_are_in_the_log_are_told_to_it(
    monkeypatch: pytest.MonkeyPatch,
):
    """Those alone: of one that had not begun nobody knows, and one that is said again goes on."""
    monkeypatch.setattr("sdm.worker.desk.server._BACK_WITHIN", 0.3)

    async def scene(room: Room) -> None:
        front = await room.front()
        sessions = [Live(f"s-{number:016x}", "a-1", "rs-1", "thumb", number < 2) for number in range(4)]
        for session in sessions:
            front.write(encode(session))
        front.write(encode(Begun(sessions[2].session_id)))
        front.write(encode(Live(SESSION, "a-1", "rs-1", "thumb", True)) + encode(Ended(SESSION)))
        await until(lambda: len(room.desk.session_ids) == 4)
        front.close()
        await until(lambda: not room.desk.session_ids)
        other = await room.front()
        other.write(encode(sessions[0]))
        await until(lambda: room.plane.told_lost)
        assert room.plane.told_lost == [sessions[1].session_id, sessions[2].session_id]
        assert room.desk.session_ids == [sessions[0].session_id]
        other.close()

    at_the_desk(scene)


def test_a_link_that_ends_with_fronts_at_its_desk_has_no_error_to_tell(caplog: pytest.LogCaptureFixture):
    """As when the supervisor was killed: all of them leave at once."""
    fronts: list[socket.socket] = []

    async def scene(room: Room) -> None:
        fronts.append(front := room.place.where.connect())
        session = Live(SESSION, "a-1", "rs-1", "thumb")
        front.sendall(encode(Hello(room.place.where.word)) + encode(session))
        await until(lambda: room.desk.session_ids)

    at_the_desk(scene)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    fronts[0].close()


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
