"""A worker as its own processes, and clients for it."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house.checkout import ROOT, children, free_port
from tests.worker.control_plane import client_context

# Tests with numbers take those that are promised, however long it takes.
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
MB = 1 << 20
ANSWER = b"404 Not Found\n"
_LISTENING = re.compile(r"Listening on \S+:(\d+)\.")


class Worker:
    def __init__(self, environment: dict[str, str], log: Path, *, module: str = "sdm") -> None:
        self.log_file = log
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SDM_")}
        self.probes_port, self.metrics_port = free_port(), free_port()
        defaults = {
            "SDM_BIND_ADDRESS": "127.0.0.1:0",
            "SDM_ORCHESTRATOR_PROBES": f"127.0.0.1:{self.probes_port}",
            "SDM_METRICS_LISTEN_ADDRESS": f"127.0.0.1:{self.metrics_port}",
            "SDM_WORKERS": "2",
            "SDM_SHUTDOWN_NOTICE": "0",
            "SDM_SHUTDOWN_TIMEOUT": "3",
            "SDM_SPOOL_DIRECTORY": str(log.with_suffix(".spool")),
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "proxy"],
                env=clean | defaults | environment,
                cwd=ROOT,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def last_line(self) -> str:
        return self.log.splitlines()[-1]

    def port(self) -> int:
        """Where it listens, as soon as it does."""
        self.until(lambda: _LISTENING.search(self.log) is not None)
        found = _LISTENING.search(self.log)
        assert found is not None
        return int(found[1])

    def until(self, condition: Callable[[], bool], seconds: float = 15) -> None:
        until(condition, seconds, lambda: self.log)

    def ends(self, seconds: float = 15) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it does not end:\n{self.log}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def children(self) -> list[int]:
        return children(self.process.pid)

    def fronts(self) -> list[int]:
        """The link is started first."""
        return sorted(self.children())[1:]

    def resident(self) -> int:
        """Bytes of memory of all its processes; what they share is counted once."""
        return sum(
            int(line.split()[1]) * 1024
            for pid in (self.process.pid, *self.children())
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            if line.startswith("Pss:")
        )

    def probe(self, path: str) -> tuple[int, str]:
        return fetch(f"http://127.0.0.1:{self.probes_port}{path}")

    def metric(self, name: str) -> float:
        text = fetch(f"http://127.0.0.1:{self.metrics_port}/metrics")[1]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, text
        return float(found[1])

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


def until(
    condition: Callable[[], bool], seconds: float = 15, explain: Callable[[], str] = lambda: ""
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not happen within {seconds} s. {explain()}")
        time.sleep(0.05)


def fetch(url: str) -> tuple[int, str]:
    """Status and body; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def request(
    port: int,
    *,
    context: ssl.SSLContext | None = None,
    data: bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    before: bytes = b"",
    plain: bool = False,
) -> bytes:
    """All that is answered to `data`."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(before)
        if plain:
            sock.sendall(data)
            return read_all(sock)
        with (context or client_context()).wrap_socket(sock) as wrapped:
            wrapped.sendall(data)
            return read_all(wrapped)


def read_all(sock: socket.socket) -> bytes:
    found = b""
    while data := sock.recv(4096):
        found += data
    return found


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = client_context().wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def is_the_answer(response: bytes) -> bool:
    head, _, body = response.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 404 Not Found\r\n") and body == ANSWER
