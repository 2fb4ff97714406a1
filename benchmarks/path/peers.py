"""PgBouncer, HAProxy and nginx, each started for a comparison, with TLS that wants a client's certificate."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.path.world import PROCESSES, World
from benchmarks.tls_servers import MissingProgram, Server
from tests.house.checkout import children, free_port
from tests.worker.control_plane import host_pair, pem

START_TIMEOUT = 20
# What Debian calls what is needed, by the programs that are looked for.
PACKAGES = {
    "pgbouncer": "pgbouncer",
    "haproxy": "haproxy",
    "nginx": "nginx",
    "wrk": "wrk",
    "pgbench": "postgresql-contrib",
}


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise MissingProgram(f"This needs {name}: apt-get install {PACKAGES[name]}")
    return found


def versions() -> dict[str, str]:
    """Of all that take part; MissingProgram with every package that is not there."""
    missing = sorted({PACKAGES[name] for name in PACKAGES if not _is_there(name)})
    if missing:
        raise MissingProgram(f"This needs more of Debian: apt-get install {' '.join(missing)}")
    asked = {
        "PgBouncer": ["pgbouncer", "--version"],
        "nginx": ["nginx", "-v"],
        "pgbench": ["pgbench", "--version"],
    }
    return {name: _version([program(command[0]), *command[1:]]) for name, command in asked.items()}


def _is_there(name: str) -> bool:
    try:
        program(name)
    except MissingProgram:
        return False
    return True


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    words = (done.stdout or done.stderr).splitlines()[0].replace("/", " ").split()
    return next(word for word in words if word[0].isdigit())


@contextmanager
def pgbouncer(world: World) -> Iterator[Server]:
    """In session mode, with the database's password stored, and users known by their certificates."""
    directory = _own(world, "pgbouncer")
    port, database, files = free_port(), world.database, _Files(world, directory)
    (directory / "users.txt").write_text(f'"{world.person.account_id}" ""\n')
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        _PGBOUNCER.format(port=port, database=database, files=files, users=directory / "users.txt")
    )
    _give(directory)
    command = [program("pgbouncer"), str(configuration)]
    with _running(_as_nobody(command), port) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Balancer:
    """One HAProxy with a listener for each target, and one that answers 404 by itself."""

    ports: dict[str, int]
    answering: int
    pids: list[int]


@contextmanager
def haproxy(world: World, targets: Mapping[str, int], *, cores: set[int] | None = None) -> Iterator[Balancer]:
    """In TCP mode before each of these ports."""
    directory = _own(world, "haproxy")
    answering, files = free_port(), _Files(world, directory)
    ports = {name: free_port() for name in targets}
    parts = [_HAPROXY.format(port=answering, files=files, threads=PROCESSES)]
    parts += [
        _PASSING.format(name=name, port=ports[name], files=files, target=target)
        for name, target in targets.items()
    ]
    configuration = directory / "haproxy.cfg"
    configuration.write_text("".join(parts))
    command = [program("haproxy"), "-db", "-q", "-f", str(configuration)]
    with _running(command, answering, cores) as server:
        yield Balancer(ports, answering, server.pids)


@contextmanager
def nginx(world: World, site: int) -> Iterator[Server]:
    """As a reverse proxy that puts a header in."""
    directory = _own(world, "nginx")
    port, files = free_port(), _Files(world, directory)
    with _nginx(directory, port, _INJECTING.format(port=port, files=files, site=site)) as server:
        yield server


@contextmanager
def website(world: World) -> Iterator[int]:
    """A small answer from nginx, for those that say the word; its port."""
    port = free_port()
    with _nginx(_own(world, "site"), port, _SITE.format(port=port)):
        yield port


@contextmanager
def _nginx(directory: Path, port: int, server: str) -> Iterator[Server]:
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, server=server))
    command = [program("nginx"), "-p", str(directory), "-c", str(configuration)]
    with _running(command, port) as running:
        yield running


class _Files:
    """A certificate for the peer, and what a client's is checked with."""

    def __init__(self, world: World, directory: Path) -> None:
        self.certificate, self.key = host_pair(directory)
        self.pair = directory / "pair.pem"
        self.pair.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
        self.authority = directory / "clients.crt"
        self.authority.write_bytes(pem(world.plane.clients.certificate))


def _own(world: World, name: str) -> Path:
    directory = world.directory / name
    directory.mkdir(exist_ok=True)
    return directory


def _as_nobody(command: Sequence[str]) -> list[str]:
    """PgBouncer does not run as root."""
    dropped = ["setpriv", "--reuid=nobody", "--clear-groups", "--regid=nogroup"] if os.geteuid() == 0 else []
    return [*dropped, *command]


def _give(directory: Path) -> None:
    if os.geteuid() == 0:
        directory.parent.chmod(0o711)
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, "nobody", "nogroup")


@contextmanager
def _running(command: Sequence[str], port: int, cores: set[int] | None = None) -> Iterator[Server]:
    with processes.started_on(cores or processes.all_cores()):
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # as the worker: a share of the processor may be a session's
        )
    try:
        _wait_for(port, process)
        yield Server(port, [process.pid, *children(process.pid)])
    finally:
        process.terminate()
        process.wait(START_TIMEOUT)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"It did not start: {process.args!r}")


_PGBOUNCER = """
[databases]
bench = host=127.0.0.1 port={database.port} dbname={database.name} user={database.user} password={database.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = cert
auth_file = {users}
pool_mode = session
default_pool_size = 100
max_client_conn = 1000
client_tls_sslmode = verify-full
client_tls_protocols = tlsv1.3
client_tls_key_file = {files.key}
client_tls_cert_file = {files.certificate}
client_tls_ca_file = {files.authority}
server_tls_sslmode = disable
log_connections = 0
log_disconnections = 0
"""

_HAPROXY = """
global
    maxconn 9800
    nbthread {threads}
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    timeout client 1h
    timeout connect 5s
    timeout server 1h
frontend answering
    mode http
    timeout http-request 1h
    bind 127.0.0.1:{port} ssl crt {files.pair} ca-file {files.authority} verify required
    http-after-response set-header Connection close
    http-request return status 404 content-type text/plain string "404 Not Found\\n"
"""

_PASSING = """
listen {name}
    mode tcp
    bind 127.0.0.1:{port} ssl crt {files.pair} ca-file {files.authority} verify required
    server target 127.0.0.1:{target}
"""

_NGINX = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
{server}
}}
"""

_INJECTING = """
    upstream site {{ server 127.0.0.1:{site}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        access_log {files.pair}.log combined buffer=64k flush=1s;
        ssl_protocols TLSv1.3;
        ssl_certificate {files.certificate};
        ssl_certificate_key {files.key};
        ssl_client_certificate {files.authority};
        ssl_verify_client on;
        location / {{
            proxy_pass http://site;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer of-the-site";
        }}
    }}
"""

_SITE = """
    server {{
        listen 127.0.0.1:{port};
        location / {{
            if ($http_authorization != "Bearer of-the-site") {{ return 403; }}
            default_type text/plain;
            return 200 "It is a small answer.\\n";
        }}
    }}
"""
