"""What is compared: a worker, and HAProxy with the same certificate, TLS versions, library and number of processes.

Neither judges a client's certificate in the handshake, as the worker does not.
"""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes
from sdm.pki.names import Kind
from tests.house.checkout import children, free_port
from tests.worker.control_plane import Authority, ControlPlane, pem
from tests.worker.processes import Worker

# Of a worker; threads of HAProxy. All of them share one core.
PROCESSES = 2
START_TIMEOUT = 20


class MissingProgram(Exception):
    """The message says how to get it."""


class Files(NamedTuple):
    certificate: Path
    key: Path
    authority: Path
    client_certificate: Path
    client_key: Path


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    pids: list[int]


Peer = Callable[[Path, Files], AbstractContextManager[Server]]


def make_files(directory: Path) -> Files:
    authority = Authority(Kind.WORKER)
    (directory / "authority.crt").write_bytes(pem(authority.certificate))
    (directory / "client").mkdir()
    pair = authority.host(directory)
    client = Authority(Kind.CLIENT).client(directory / "client")
    return Files(*pair, directory / "authority.crt", *client)


@contextmanager
def worker(directory: Path, files: Files, *, module: str = "sdm", **settings: str) -> Iterator[Server]:
    plane = ControlPlane()
    plane.heartbeat_seconds = 60
    plane.begin()
    environment = plane.environment() | {
        "SDM_TLS_CERT_SOURCE": "file",
        "SDM_TLS_CERT_FILE": str(files.certificate),
        "SDM_TLS_KEY_FILE": str(files.key),
        "SDM_WORKERS": str(PROCESSES),
        **settings,
    }
    try:
        with processes.started_on(processes.cores()[0]):
            running = Worker(environment, directory / "worker.log", module=module)
        try:
            port = running.port()
            running.until(lambda: len(running.children()) == 1 + PROCESSES)
            yield Server(port, [running.process.pid, *running.children()])
        finally:
            running.kill()
    finally:
        plane.end()


@contextmanager
def patient_worker(directory: Path, files: Files) -> Iterator[Server]:
    with worker(directory, files, module="benchmarks.patient") as server:
        yield server


@contextmanager
def haproxy(directory: Path, files: Files) -> Iterator[Server]:
    port = free_port()
    both = directory / "haproxy.pem"
    both.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    configuration = directory / "haproxy.cfg"
    configuration.write_text(_ANSWERING.format(port=port, pem=both, ca=files.authority, threads=PROCESSES))
    with run_haproxy(configuration, port) as server:
        yield server


_ANSWERING = """
global
    maxconn 9800
    nbthread {threads}
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout client 1h
    timeout http-request 1h
    timeout connect 5s
    timeout server 5s
frontend answering
    bind 127.0.0.1:{port} ssl crt {pem} ca-file {ca} verify optional crt-ignore-err all ca-ignore-err all
    http-after-response set-header Connection close
    http-request return status 404 content-type text/plain string "404 Not Found\\n"
"""


@contextmanager
def run_haproxy(configuration: Path, port: int) -> Iterator[Server]:
    with processes.started_on(processes.cores()[0]):
        process = subprocess.Popen(
            [haproxy_program(), "-db", "-q", "-f", str(configuration)],
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # as the worker: a share of the processor may be a session's
        )
    try:
        _wait_for(port, process)
        yield Server(port, [process.pid, *children(process.pid)])
    finally:
        process.kill()
        process.wait()


def haproxy_program() -> str:
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        raise MissingProgram("HAProxy is what the worker is compared with: apt-get install haproxy")
    return program


def versions() -> dict[str, str]:
    """Of HAProxy, and of both sides' OpenSSL: a comparison across two of those would be one of them."""
    said = subprocess.run([haproxy_program(), "-vv"], capture_output=True, text=True, check=True).stdout
    library = next(line for line in said.splitlines() if line.startswith("Running on OpenSSL"))
    ours = subprocess.run(
        [sys.executable, "-c", "import ssl; print(ssl.OPENSSL_VERSION)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {
        "HAProxy": f"{said.split()[2]} on {library.partition(': ')[2].strip()}",
        "worker": f"on {ours.strip()}",
    }


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("HAProxy did not start.")
