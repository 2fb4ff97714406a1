"""COPY of many bytes, in and out: what a proxy's second of a core moves."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import processes
from benchmarks.path import peers, world
from benchmarks.path.figures import Figure, Result
from benchmarks.path.opener import Order
from benchmarks.path.world import World
from benchmarks.tls_servers import Server
from tests.servers import postgres

_PORT = 6001
_ROW = 1_000
# The sink keeps nothing: what is measured is not the server's disk.
_IN = "COPY sink FROM STDIN WHERE false"
_OUT = "COPY (SELECT repeat('x', {width}) FROM generate_series(1, {rows})) TO STDOUT"


def bulk(place: World, *, rounds: int, size: int) -> Iterator[Result]:
    """`size` in bytes, each way."""
    _sql(place, "CREATE TABLE sink (line text)")
    resource = place.queries()
    into, out = (
        Figure(f"COPY {way}: MB for a second of the proxy's CPU", "HAProxy", ",.0f", "≥", 1.0)
        for way in ("in", "out")
    )
    speed_in, speed_out = (Figure(f"COPY {way}: MB a second", "HAProxy", ",.0f") for way in ("in", "out"))
    with world.worker(place) as ours, _haproxy(place) as theirs:

        def tunnel(listen: str) -> Order:
            return place.tunnel(ours.port, resource, listen=listen)

        def plain(listen: str) -> Order:
            return place.order(theirs.port, listen=listen)

        for _ in range(rounds):
            for copy, cheap, fast in ((_copy_in, into, speed_in), (_copy_out, out, speed_out)):
                for server, way, side in ((ours, tunnel, "ours"), (theirs, plain, "theirs")):
                    spent, took = _measured(place, server, way, copy, size)
                    getattr(cheap.compared, side).append(size / 1e6 / spent)
                    getattr(fast.compared, side).append(size / 1e6 / took)
    yield from (into, speed_in, out, speed_out)


@contextmanager
def _haproxy(place: World) -> Iterator[Server]:
    with peers.haproxy(place, {"postgres": place.database.port}) as balancer:
        yield Server(balancer.ports["postgres"], balancer.pids)


Copy = Callable[[World, str, int], float]


def _measured(
    place: World, server: Server, way: Callable[[str], Order], copy: Copy, size: int
) -> tuple[float, float]:
    """Seconds of the proxy's CPU, and of the clock."""
    directory = place.directory / "copy"
    directory.mkdir(exist_ok=True)
    with world.opener(way(str(directory / f".s.PGSQL.{_PORT}"))):
        before = processes.cpu_seconds(server.pids)
        took = copy(place, str(directory), size)
        return processes.cpu_seconds(server.pids) - before, took


def _copy_in(place: World, host: str, size: int) -> float:
    rows = (b"x" * (_ROW - 1) + b"\n") * 1_000
    command = [
        postgres.program("psql"),
        *_who(place),
        f"--host={host}",
        f"--port={_PORT}",
        "--quiet",
        "-c",
        _IN,
    ]
    began = time.monotonic()
    with subprocess.Popen(command, env=_environment(place), stdin=subprocess.PIPE) as psql:
        if psql.stdin is None:
            raise RuntimeError("It was started without a pipe.")
        for _ in range(size // len(rows)):
            psql.stdin.write(rows)
    _check(psql.returncode)
    return time.monotonic() - began


def _copy_out(place: World, host: str, size: int) -> float:
    statement = _OUT.format(width=_ROW - 1, rows=size // _ROW)
    command = [postgres.program("psql"), *_who(place), f"--host={host}", f"--port={_PORT}", "-c", statement]
    began = time.monotonic()
    done = subprocess.run(command, env=_environment(place), stdout=subprocess.DEVNULL, check=False)
    _check(done.returncode)
    return time.monotonic() - began


def _sql(place: World, statement: str) -> None:
    command = [postgres.program("psql"), *_who(place), "--host=127.0.0.1", f"--port={place.database.port}"]
    done = subprocess.run([*command, "--quiet", "-c", statement], env=_environment(place), check=False)
    _check(done.returncode)


def _who(place: World) -> list[str]:
    return [f"--username={place.database.user}", f"--dbname={place.database.name}"]


def _environment(place: World) -> dict[str, str]:
    return os.environ | {"PGPASSWORD": place.database.password}


def _check(status: int) -> None:
    if status:
        raise RuntimeError("psql failed; what it said stands above.")
