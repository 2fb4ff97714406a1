"""Many workers in one process, all but their data path: `python -m benchmarks.members NUMBER`, keys in the environment.

Each joins, streams and comes back by the code and the pauses of a real one. A line of JSON says when all of them are
connected; a line on standard input ends all streams and has them come back; its end ends the process.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import replace

from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane import connection
from sdm.version import VERSION
from sdm.worker.config import Config, load
from sdm.worker.control.calls import Me
from sdm.worker.control.membership import Membership

LONGEST = 600


class Member:
    """What a membership wants of a worker."""

    def __init__(self, everybody: "Everybody", config: Config) -> None:
        self.changed = asyncio.Event()
        self._everybody = everybody
        self._config = config
        self._me: Me | None = None

    async def keep(self) -> None:
        await Membership(self._config, self, VERSION, self._me).keep()

    def report(self) -> pb.WorkerReport:
        return pb.WorkerReport(state=pb.WORKER_STATE_STARTED)

    def joined(self, me: Me, cluster: str) -> None:
        self._me = me

    def connected(self, up: bool) -> None:
        self._everybody.count(self, up=up)

    def configure(self, configuration: pb.Configuration) -> None:
        """It serves nobody."""

    def restart(self, *, cut_connections: bool) -> None:
        """Nobody asks for it here."""

    def recheck(self) -> None:
        """There are no sessions here."""

    def check_health(self, resource_ids: Iterable[str]) -> None:
        """Nor resources."""


class Everybody:
    def __init__(self, config: Config, number: int) -> None:
        self._connected: set[Member] = set()
        self._members = [
            Member(self, replace(config, host_name=f"host-{member}")) for member in range(number)
        ]

    def count(self, member: Member, *, up: bool) -> None:
        before = len(self._connected)
        (self._connected.add if up else self._connected.discard)(member)
        if len(self._connected) == len(self._members) != before:
            print(json.dumps({"all_at": time.monotonic()}), flush=True)

    async def live(self) -> None:
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        line = await lines.readline()
        while line:
            self._connected.clear()
            tasks = [asyncio.create_task(member.keep()) for member in self._members]
            again = asyncio.create_task(lines.readline())
            await asyncio.wait([again, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # it says why it was refused
                task.cancel()
            await asyncio.wait(tasks)
            line = await again


def main(arguments: list[str]) -> None:
    signal.alarm(LONGEST)
    logging.basicConfig(level=logging.ERROR)
    # Workers are on different machines: none shares its connection with another.
    connection._LOOPBACK_OPTIONS.append(("grpc.use_local_subchannel_pool", 1))
    asyncio.run(Everybody(load(os.environ), int(arguments[0])).live())


if __name__ == "__main__":
    main(sys.argv[1:])
