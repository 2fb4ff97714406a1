"""Debian's HAProxy and nginx, in front of a worker."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.house.checkout import free_port
from tests.worker.control_plane import host_pair

_HAPROXY = """
global
    log stderr format raw local0 warning
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
"""
_NGINX = """
{modules}
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
"""
_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(process, port, log)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    wanted = f":{port:04X} 00000000:0000 0A"
    deadline = time.monotonic() + 10
    # Looked up rather than tried: a connection would be one for the worker.
    while wanted not in Path("/proc/net/tcp").read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@contextmanager
def haproxy(directory: Path, body: str, pair: tuple[Path, Path] | None = None) -> Iterator[int]:
    """`body` may name {port} and {pem}, which holds `pair`, or one of its own."""
    port = free_port()
    cert, key = pair or host_pair(directory, "haproxy")
    pem = directory / "haproxy.pem"
    pem.write_bytes(cert.read_bytes() + key.read_bytes())
    config = directory / "haproxy.cfg"
    config.write_text(_HAPROXY + body.format(port=port, pem=pem))
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    with _running([program, "-db", "-f", str(config)], port, directory / "haproxy.log") as found:
        yield found


@contextmanager
def nginx(directory: Path, body: str) -> Iterator[int]:
    """`body` may name {port}, {cert}, {key} and {directory}; braces of its own are doubled."""
    port = free_port()
    cert, key = host_pair(directory, "nginx")
    modules = f"load_module {_STREAM_MODULE};" if _STREAM_MODULE.exists() else ""
    words = {"port": port, "cert": cert, "key": key, "directory": directory, "modules": modules}
    config = directory / "nginx.conf"
    config.write_text((_NGINX + body).format(**words))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = [program, "-c", str(config), "-e", str(directory / "error.log")]
    with _running(command, port, directory / "nginx.log") as found:
        yield found
