"""The console's pages as `./dev run` serves them, with a database of the benchmark's, and a client that times them.

Without the API: it would take workers that never call for dead, and write so into the rows that are measured.
"""

import gzip
import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.middleware import CPU, QUERIES
from console import first_run
from console.processes import PAGES
from sdm.contract import cookies

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 60
STOP_TIMEOUT = 30
_ASSET = re.compile(r'(?:href|src)="(/static/[^"]+)"')


class Answer(NamedTuple):
    seconds: float
    # Of the thread that served it: Python's share, and SQLite's, which runs in it.
    cpu: float
    queries: int
    # As it came over the wire, compressed.
    size: int
    text: str


class Page(NamedTuple):
    name: str
    ours: str
    admin: str
    is_filter: bool


@dataclass
class Console:
    """A running console that somebody is signed in to, and the pages to ask it for."""

    connection: http.client.HTTPConnection
    session: str
    pages: list[Page]

    def get(self, path: str) -> Answer:
        headers = {
            "Cookie": f"{cookies.SESSION}={self.session}",
            "Accept-Encoding": "gzip",
            "Accept": "text/html",
        }
        start = time.perf_counter()
        self.connection.request("GET", path, headers=headers)
        response = self.connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - start
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path} answered {response.status}: {body[:200]!r}")
        plain = gzip.decompress(body) if response.headers["Content-Encoding"] == "gzip" else body
        cpu, queries = float(response.headers.get(CPU, 0)), int(response.headers.get(QUERIES, 0))
        return Answer(seconds, cpu, queries, len(body), plain.decode())

    def assets(self, page: Answer) -> int:
        """The compressed size of everything that the page loads."""
        return sum(self.get(path).size for path in set(_ASSET.findall(page.text)))


@contextmanager
def serving(directory: Path, database: str, size: str) -> Iterator[Console]:
    """Fill the database unless it is, and serve it until this is left."""
    env = _environment(directory, database)
    filled = subprocess.run(
        [sys.executable, "manage.py", "fill", size], env=env, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    facts = json.loads(filled.stdout)
    prepare = [sys.executable, "manage.py", "prepare"]
    subprocess.run(prepare, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    process = subprocess.Popen([sys.executable, *PAGES], env=env, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        connection = _connected(env["CONSOLE_LISTEN"], process)
        yield Console(connection, facts["session"], [Page(*page) for page in facts["pages"]])
        connection.close()
    finally:
        _stop(process)


def _environment(directory: Path, database: str) -> dict[str, str]:
    """Ours, without settings of a console that this machine may also run."""
    others = ("CONSOLE_", "DATABASE_URL", "DJANGO_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return env | {
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "DATABASE_URL": database,
        "CONSOLE_DATA_DIR": str(directory / "console"),
        "CONSOLE_LISTEN": f"127.0.0.1:{_free_port()}",
        "CONSOLE_SECRET_KEY": secrets.token_urlsafe(64),
        "CONSOLE_SEALING_KEYS": first_run.new_sealing_key(),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _connected(listen: str, process: subprocess.Popen[bytes]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(listen, timeout=120)
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connection.connect()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return connection
    raise RuntimeError("The console did not start; what it said stands above.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
