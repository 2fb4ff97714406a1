"""Makes `captures/` again: what real clients and a real server say to each other, through our own start-up.

    python -m tests.wire.postgres.record [python-with-asyncpg]

Needs Debian's postgresql. A capture is a JSON list: what the client sent first, then pieces in the order in which they
passed, each with the side that sent it, as Latin-1.
"""

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import psycopg

from sdm.wire.postgres.authentication import Authentication, Credentials, Session
from sdm.wire.postgres.cancel import CancelKey, new_key
from sdm.wire.postgres.scram import KeyCache
from sdm.wire.postgres.startup import Startup, StartupMessage, upstream_startup, welcome
from tests.servers import postgres

CAPTURES = Path(__file__).parent / "captures"

PSQL = """
SELECT 1 AS one, 'zwei' AS two;
CREATE TEMPORARY TABLE t (a int, b text);
\\copy t FROM STDIN
1\teins
2\tzwei
\\.
\\copy t TO STDOUT
SELECT nothing;
BEGIN; INSERT INTO t VALUES (3, 'drei') \\; UPDATE t SET b = 'x';
COMMIT;
DO $$ BEGIN RAISE NOTICE 'hello'; END $$;
SELECT generate_series(1, 500);
\\d t
"""
PSYCOPG = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    c.execute("SELECT %s::int, %s::text", (1, "zwei")).fetchall()
    c.execute("CREATE TEMPORARY TABLE t (a int, b text)")
    with c.cursor() as cur:
        cur.executemany("INSERT INTO t VALUES (%s, %s)", [(n, str(n)) for n in range(5)])
        with cur.copy("COPY t FROM STDIN") as copy:
            for n in range(20):
                copy.write_row((n, "x" * 10))
        with cur.copy("COPY t TO STDOUT (FORMAT binary)") as copy:
            list(copy)
    with c.pipeline():
        cursors = [c.execute("SELECT count(*) FROM t WHERE a > %s", (n,), prepare=True) for n in range(3)]
    try:
        with c.pipeline() as p:
            c.execute("SELECT 1"); c.execute("SELECT nothing"); c.execute("SELECT 2"); p.sync()
    except psycopg.Error: pass
    with c.transaction(), c.cursor("named") as named:
        named.itersize = 5
        list(named.execute("SELECT * FROM t"))
    c.execute("LISTEN news"); c.execute("NOTIFY news, 'x'")
"""
ASYNCPG = """
import asyncio, asyncpg, sys
async def main():
    c = await asyncpg.connect(sys.argv[1])
    await c.fetch("SELECT $1::int, $2::text", 1, "zwei")
    await c.execute("CREATE TEMPORARY TABLE t (a int, b text)")
    await c.executemany("INSERT INTO t VALUES ($1, $2)", [(n, str(n)) for n in range(5)])
    await c.copy_records_to_table("t", records=[(n, "x") for n in range(9)])
    async with c.transaction():
        async for _ in c.cursor("SELECT * FROM t", prefetch=4): pass
    try: await c.fetch("SELECT nothing")
    except asyncpg.PostgresError: pass
    await c.close()
asyncio.run(main())
"""


class Recorder:
    """Signs in, passes on, and keeps what passes on the last connection: pgbench makes another before it begins."""

    def __init__(self, server: SplitResult) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.pieces: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"postgresql://anyone@127.0.0.1:{self._listener.getsockname()[1]}/anything"

    def join(self) -> list[tuple[str, str]]:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listener.close()
        return self.pieces

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the listener is shut down
            while True:
                self._serve(self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        self.pieces = []
        with client, socket.create_connection((self._server.hostname, self._server.port or 5432)) as server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked = self._ask(client)
            session = self._sign_in(server, asked)
            key = new_key(asked.secret_length)
            client.sendall(welcome(asked, key, session.parameters, status=session.status))
            self._pass(client, server)

    def _ask(self, client: socket.socket) -> StartupMessage:
        startup = Startup()
        while True:
            data = client.recv(65536)
            self.pieces.append(("startup", data.decode("latin-1")))
            found = startup.feed(data)
            client.sendall(startup.data_to_send())
            if found is not None:
                assert not isinstance(found, CancelKey)
                return found

    def _sign_in(self, server: socket.socket, asked: StartupMessage) -> Session:
        user, password = self._server.username or "", self._server.password
        server.sendall(upstream_startup(asked, user=user, database="postgres", allow_replication=False))
        authentication = Authentication(Credentials(user, password), KeyCache(), verified_tls=False)
        while (session := authentication.feed(server.recv(65536))) is None:
            server.sendall(authentication.data_to_send())
        return session

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, ("client", server))
            selector.register(server, selectors.EVENT_READ, ("server", client))
            while True:
                for key, _ in selector.select():
                    side, other = key.data
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    self.pieces.append((side, data.decode("latin-1")))
                    with contextlib.suppress(BrokenPipeError):
                        other.sendall(data)


def record(name: str, server: SplitResult, command: list[str], stdin: str = "") -> None:
    recorder = Recorder(server)
    environment = {**os.environ, "PGAPPNAME": name, "PSQLRC": "/dev/null"}
    done = subprocess.run(
        [word.replace("URL", recorder.url) for word in command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    pieces = recorder.join()
    print(f"{name}: exit {done.returncode}, {len(pieces)} pieces {done.stderr.strip()[-300:]}")  # noqa: T201
    text = json.dumps(pieces, indent=0)
    (CAPTURES / f"{name}.json").write_text(text + "\n")


def main(python_with_asyncpg: str = "") -> None:
    CAPTURES.mkdir(exist_ok=True)
    with postgres.server() as url:
        server = urlsplit(url)
        subprocess.run(["pgbench", "--quiet", "-i", url], check=True, capture_output=True)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM pgbench_accounts WHERE aid > 10")
        record("psql", server, ["psql", "--no-psqlrc", "URL"], PSQL)
        for mode in ("simple", "extended", "prepared"):
            arguments = [
                "--no-vacuum",
                "--select-only",
                "--transactions=3",
                "--scale=1",
                f"--protocol={mode}",
            ]
            record(f"pgbench-{mode}", server, ["pgbench", *arguments, "URL"])
        record("psycopg", server, [sys.executable, "-c", PSYCOPG, "URL"])
        if python_with_asyncpg:
            record("asyncpg", server, [python_with_asyncpg, "-c", ASYNCPG, "URL"])


if __name__ == "__main__":
    main(*sys.argv[1:])
