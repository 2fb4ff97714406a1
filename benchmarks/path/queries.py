"""pgbench -S through a worker and through PgBouncer: credentials injected by both, every query logged by one."""

import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.path import peers, world
from benchmarks.path.figures import Figure, Limit, Result
from benchmarks.path.opener import Order
from benchmarks.path.world import World
from benchmarks.tls_servers import Server

CLIENTS = (1, 8, 32)
MODES = ("simple", "extended")
SCALE = 5
_PORT = 6000


@dataclass(frozen=True, slots=True)
class Run:
    per_second: float
    # Milliseconds.
    p99: float
    # Microseconds a query: of the proxy, and of what opens its tunnels.
    cpu: float
    opener_cpu: float
    transactions: int


def queries(
    place: World, *, rounds: int, seconds: float, clients: tuple[int, ...] = CLIENTS
) -> Iterator[Result]:
    _fill(place)
    resource = place.queries()
    openers: list[float] = []
    with world.worker(place) as ours, peers.pgbouncer(place) as theirs:

        def tunnel(listen: str) -> Order:
            return place.tunnel(ours.port, resource, listen=listen)

        def plain(listen: str) -> Order:
            return place.postgres_tls(theirs.port, listen=listen)

        for mode in MODES:
            for number in clients:
                rate, late, cost = _figures(mode, number)
                direct = []
                for _ in range(rounds):
                    before = place.plane.delivered
                    mine = _run(place, ours, tunnel, mode, number, seconds)
                    # How each query began and how it ended.
                    world.all_delivered(place, before + 2 * mine.transactions)
                    other = _run(place, theirs, plain, mode, number, seconds)
                    for figure, attribute in ((rate, "per_second"), (late, "p99"), (cost, "cpu")):
                        figure.compared.ours.append(getattr(mine, attribute))
                        figure.compared.theirs.append(getattr(other, attribute))
                    openers += (mine.opener_cpu, other.opener_cpu)
                    direct.append(_direct(place, theirs, mode, number, seconds))
                yield from (rate, late, cost)
                yield Limit(f"{_name(mode, number)}: PgBouncer without an opener", direct, "a second")
    yield Limit("of both sides' opener, CPU a query", openers, "µs")


def _name(mode: str, clients: int) -> str:
    return f"pgbench -S, {mode}, {clients} client{'s' if clients > 1 else ''}"


def _figures(mode: str, clients: int) -> tuple[Figure, Figure, Figure]:
    name = _name(mode, clients)
    return (
        Figure(f"{name}: transactions a second", "PgBouncer", ",.0f", "≥", 0.9),
        Figure(f"{name}: p99, ms", "PgBouncer", ".2f", "≤", 1.25),
        Figure(f"{name}: proxy's CPU, µs each", "PgBouncer", ".1f"),
    )


def _run(
    place: World,
    server: Server,
    way: Callable[[str], Order],
    mode: str,
    clients: int,
    seconds: float,
) -> Run:
    with tempfile.TemporaryDirectory(dir=place.directory) as name:
        directory = Path(name)
        listen = str(directory / f".s.PGSQL.{_PORT}")
        with world.opener(way(listen)) as opener:
            before = processes.cpu_seconds(server.pids), processes.cpu_seconds([opener])
            took = _latencies(
                place, directory, [f"--host={directory}", f"--port={_PORT}"], mode, clients, seconds
            )
            spent = processes.cpu_seconds(server.pids) - before[0]
            opening = processes.cpu_seconds([opener]) - before[1]
        each = 1e6 / len(took)
        p99 = took[len(took) * 99 // 100] / 1000
        return Run(_rate(took, clients), p99, spent * each, opening * each, len(took))


def _direct(place: World, server: Server, mode: str, clients: int, seconds: float) -> float:
    """Transactions a second when pgbench does its own TLS: what the opener takes from both sides."""
    with tempfile.TemporaryDirectory(dir=place.directory) as name:
        where = ["--host=127.0.0.1", f"--port={server.port}"]
        tls = {
            "PGSSLMODE": "require",
            "PGSSLCERT": str(place.person.certificate_file),
            "PGSSLKEY": str(place.person.key_file),
        }
        place.person.key_file.chmod(0o600)  # libpq insists
        return _rate(_latencies(place, Path(name), where, mode, clients, seconds, **tls), clients)


def _rate(took: list[int], clients: int) -> float:
    """While all of them were busy: without what it takes to connect."""
    return 1e6 * clients / statistics.fmean(took)


def _latencies(
    place: World, directory: Path, where: list[str], mode: str, clients: int, seconds: float, **tls: str
) -> list[int]:
    """Of each transaction, in microseconds, the shortest first; the third column of pgbench's log."""
    # PgBouncer knows the client by its certificate's name; a worker puts its own user and database in.
    command = [peers.program("pgbench"), *where, f"--username={place.person.account_id}", "bench"]
    command += [f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={max(1, round(seconds))}"]
    command += ["--select-only", "--no-vacuum", "--log", f"--protocol={mode}"]
    _checked(command, directory, place, **tls)
    logs = [log.read_text().splitlines() for log in directory.glob("pgbench_log.*")]
    return sorted(int(line.split()[2]) for log in logs for line in log)


def _fill(place: World) -> None:
    command = [peers.program("pgbench"), "--initialize", "--quiet", f"--scale={SCALE}", place.database.name]
    where = ["--host=127.0.0.1", f"--port={place.database.port}", f"--username={place.database.user}"]
    _checked(command + where, place.directory, place)


def _checked(command: list[str], directory: Path, place: World, **settings: str) -> None:
    environment = os.environ | {"PGPASSWORD": place.database.password} | settings
    done = subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode or "aborted" in done.stderr:
        raise RuntimeError(f"pgbench failed: {done.stderr}")
