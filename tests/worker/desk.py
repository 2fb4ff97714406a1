"""A desk with its work, and a control plane that answers when a test wants it."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from sdm.contract.v1 import workers_pb2 as pb
from sdm.worker.desk.messages import MAX_LINE, Ask, Hello, Message, decode, encode
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
        self.told_lost: list[str] = []
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

    def lost(self, session_ids: Sequence[str]) -> None:
        self.told_lost += session_ids


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # it may be about anything
            await asyncio.sleep(0.005)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENCE):
            await scene()

    asyncio.run(bounded())


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
