"""The databases of the benchmark: filled once, and kept for the next run."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg

from tests.servers import postgres

# Below /tmp, where PostgreSQL's own user may go.
DEFAULT_DIRECTORY = Path(tempfile.gettempdir()) / f"console-benchmarks-{os.getuid()}"


class Server(Protocol):
    directory: Path

    def url(self, size: str) -> str:
        """The DATABASE_URL of the database with so many rows."""


def _name(size: str) -> str:
    """Other rows, another database."""
    recipe = Path(__file__).with_name("rows.py").read_bytes()
    return f"{size}_{hashlib.sha256(recipe).hexdigest()[:8]}"


class _SQLite:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def url(self, size: str) -> str:
        return f"sqlite:///{self.directory}/{_name(size)}.sqlite3"


class _PostgreSQL:
    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self._server = url

    def url(self, size: str) -> str:
        name = _name(size)
        with psycopg.connect(self._server, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f'CREATE DATABASE "{name}"')
        return urlsplit(self._server)._replace(path=f"/{name}").geturl()


@contextmanager
def _sqlite(directory: Path) -> Iterator[Server]:
    yield _SQLite(_made(directory))


@contextmanager
def _postgres(directory: Path) -> Iterator[Server]:
    data = _made(directory) / "postgres"
    data.mkdir(mode=0o700, exist_ok=True)
    with postgres.server_in(data) as url:
        yield _PostgreSQL(directory, url)


def _made(directory: Path) -> Path:
    directory = directory.absolute()
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    return directory


DATABASES: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
}
