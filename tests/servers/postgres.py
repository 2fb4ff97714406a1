"""A PostgreSQL of one's own: in a temporary directory, on a free port of loopback, gone when it is left.

Standard library only: `./dev` starts it from outside the environment.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USER = "console"
# Nobody needs the data after a crash.
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
START_TIMEOUT = 30


class PostgresError(Exception):
    """The server could not be started; the message says why."""


Certificate = tuple[Path, Path]


@contextmanager
def server(*, rules: Sequence[str] = (), certificate: Certificate | None = None) -> Iterator[str]:
    """Start a server; its URL, with a password made for this once.

    `rules` are lines of pg_hba.conf that go before its own; with `certificate`, which has its key beside it, it speaks
    TLS.
    """
    directory = Path(tempfile.mkdtemp(prefix="console-postgres-"))
    try:
        with server_in(directory, rules=rules, certificate=certificate) as url:
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def server_in(
    directory: Path, *, rules: Sequence[str] = (), certificate: Certificate | None = None
) -> Iterator[str]:
    """The same on the data in `directory`, which is made there the first time and stays."""
    password = _initialised(directory) or _initialise(directory, rules)
    port = _free_port()
    process = _start(directory, port, _with_tls(directory, certificate) if certificate else ())
    try:
        _wait_until_ready(process, port, directory)
        yield f"postgres://{USER}:{password}@127.0.0.1:{port}/postgres"
    finally:
        _stop(process)


def program(name: str) -> str:
    """Where `name` is. Debian keeps the server's programs of each version in a folder of their own."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*"), key=lambda path: float(path.name), reverse=True)
    candidates = [str(version / "bin" / name) for version in versions]
    found = next((path for path in candidates if os.access(path, os.X_OK)), None) or shutil.which(name)
    if found is None:
        raise PostgresError(f"PostgreSQL's {name} is not installed: apt-get install postgresql")
    return found


def _as_owner() -> list[str]:
    """PostgreSQL refuses to run as root. It also goes away with whoever started it, however that one ends."""
    command = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        command += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
    return command


def _initialised(directory: Path) -> str | None:
    """The password of the data that is there."""
    return (directory / "password").read_text() if (directory / "data" / "PG_VERSION").exists() else None


def _initialise(directory: Path, rules: Sequence[str]) -> str:
    password = secrets.token_urlsafe(16)
    word = directory / "password"
    word.write_text(password)
    _give_to_owner(directory, word)
    command = [
        *_as_owner(),
        program("initdb"),
        "--pgdata",
        str(directory / "data"),
        "--username",
        USER,
        "--no-sync",
    ]
    command += ["--auth=scram-sha-256", f"--pwfile={word}", "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    if done.returncode:
        raise PostgresError(f"initdb failed: {done.stderr.strip()}")
    access = directory / "data" / "pg_hba.conf"
    access.write_text("".join(f"{rule}\n" for rule in rules) + access.read_text())
    return password


def _with_tls(directory: Path, certificate: Certificate) -> Sequence[str]:
    """The settings for it. The server wants the key to be its own user's alone."""
    names, settings = ("server.crt", "server.key"), ("ssl_cert_file", "ssl_key_file")
    for name, file in zip(names, certificate, strict=True):
        (directory / name).write_bytes(file.read_bytes())
        (directory / name).chmod(0o600)
        _give_to_owner(directory / name)
    return (
        "ssl=on",
        *(f"{setting}={directory / name}" for setting, name in zip(settings, names, strict=True)),
    )


def _give_to_owner(*paths: Path) -> None:
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for path in paths:
            os.chown(path, owner.pw_uid, owner.pw_gid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(directory: Path, port: int, settings: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [*_as_owner(), program("postgres"), "-D", str(directory / "data"), "-p", str(port)]
    basics = ("listen_addresses=127.0.0.1", f"unix_socket_directories={directory}")
    for setting in (*basics, *settings, *CARELESS):
        command += ["-c", setting]
    with (directory / "log").open("wb") as log:
        # A session of its own: Ctrl-C is for the tests, which still need the server while they end.
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=directory)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, directory: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    ask = [program("pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
    while subprocess.run(ask, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL did not start: {(directory / 'log').read_text().strip()}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # "fast": sessions are ended, files are closed
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
